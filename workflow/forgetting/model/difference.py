"""Checkpoints stored as their difference from another model: without loss, and smaller where the two lie close together.

Of every weight, the two float32 bit patterns are subtracted as 32-bit integers. Weights that training moved little differ in their low
bits, so the high bytes of the differences are zero; all first bytes, all second bytes and so on are put side by side, and compressed.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from forgetting.errors import CheckpointError

WEIGHTS, DIFFERENCE = "model.safetensors", "difference.safetensors"
"""Of a folder with a model: all weights, or what differs from those of its base."""
FORMAT = "float32 bit patterns subtracted, zigzag, byte planes, zstd"
LEVEL = 1
"""Of zstd: higher ones are slower and not smaller (benchmarks/checkpoints.py)."""


@dataclass(frozen=True)
class Base:
    """What checkpoints are differences from.

    folder: of a saved model. seen_from: the folder in which the difference will be read; the way from there to the base is stored, so that
    both can move together.
    """

    folder: Path
    seen_from: Path

    @property
    def way(self) -> str:
        return os.path.relpath(self.folder, self.seen_from)


def write_difference(weights: Mapping[str, Tensor], base: Base, path: Path) -> None:
    """Write a safetensors file of what differs between `weights` and the base.

    A weight that is equal, bit for bit, has no entry. A float32 one has the compressed difference (uint8), or is whole when that is not
    smaller; any other is whole. Raises CheckpointError when the base cannot be read or lacks a weight.
    """
    source = base.folder / WEIGHTS
    with _opened(source) as before:
        if set(weights) != set(before.keys()):
            raise CheckpointError(f"{source}: has other weights than the checkpoint that is to be stored as a difference from it")

        def entry(name: str) -> Tensor | None:
            return _entry(weights[name], before.get_tensor(name))

        with _threads() as pool:
            entries = {name: found for name, found in zip(weights, pool.map(entry, weights), strict=True) if found is not None}
    save_file(entries, path, {"format": FORMAT, "base": base.way, "base_sha256": digest(source)})


def read_difference(folder: Path) -> dict[str, Tensor]:
    """All weights of a model that is stored as a difference. Raises CheckpointError that names a file which is missing, cut off or
    unreadable, or a base that is no longer the one which the difference was taken from."""
    path = folder / DIFFERENCE
    with _opened(path) as stored:
        told, entries = stored.metadata() or {}, set(stored.keys())
        if told.get("format") != FORMAT:
            raise CheckpointError(f"{path}: is not a difference that this version can read; delete it and run again")
        # Along the names of folders, not to where links lead.
        source = Path(os.path.normpath(Path(os.path.abspath(folder)) / told["base"])) / WEIGHTS
        if not source.is_file():
            raise CheckpointError(f"{path}: is the difference from {source}, which is missing; copy both, or make that one again")
        if digest(source) != told["base_sha256"]:
            raise CheckpointError(
                f"{path}: is the difference from a file {source} with other contents; bring that one back, or delete this one and run again"
            )
        with _opened(source) as before:

            def whole(name: str) -> Tensor:
                base = before.get_tensor(name)
                return _whole(stored.get_tensor(name), base) if name in entries else base

            names = list(before.keys())
            try:
                with _threads() as pool:
                    return dict(zip(names, pool.map(whole, names), strict=True))
            except (OSError, ValueError, pa.ArrowException) as error:
                raise CheckpointError(f"{path}: cannot be read ({error}); delete it and run again") from None


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once for each state of it."""
    state = path.stat()
    return _digest(os.path.abspath(path), state.st_size, state.st_mtime_ns)


@functools.cache
def _digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """A safetensors file; its header is checked against its size."""
    try:
        file = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); delete it and run again") from None
    with file:
        yield file


def _threads() -> ThreadPoolExecutor:
    """As many as the job has; NumPy and the codec work beside each other."""
    return ThreadPoolExecutor(torch.get_num_threads())


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=LEVEL)


def _entry(weight: Tensor, base: Tensor) -> Tensor | None:
    """What is stored of a weight, None when it is that of the base."""
    weight = weight.detach().cpu().contiguous()
    if weight.dtype != torch.float32 or base.dtype != torch.float32 or weight.shape != base.shape:
        return weight
    blob = compress(_bits(weight), _bits(base))
    if blob is None:
        return None
    return torch.from_numpy(blob) if blob.nbytes < weight.nbytes else weight


def _whole(entry: Tensor, base: Tensor) -> Tensor:
    """The weight of which `_entry` is stored."""
    if entry.dtype != torch.uint8:
        return entry
    return torch.from_numpy(expand(entry.numpy(), _bits(base)).view(np.float32)).reshape(base.shape)


def _bits(weight: Tensor) -> np.ndarray:
    """Its bit patterns as unsigned integers (n,)."""
    return weight.reshape(-1).numpy().view(np.uint32)


def compress(bits: np.ndarray, base: np.ndarray) -> np.ndarray | None:
    """The difference of bit patterns (n,), uint32, as bytes; None when there is none."""
    signed = (bits - base).view(np.int32)
    if not signed.any():
        return None
    zigzag = (signed << 1) ^ (signed >> 31)  # 0, -1, 1, -2, ... become 0, 1, 2, 3, ...: small whatever their sign
    planes = np.ascontiguousarray(zigzag.view(np.uint8).reshape(-1, 4).T)
    return np.frombuffer(_codec().compress(planes), np.uint8).copy()


def expand(blob: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The bit patterns of which `compress` made `blob`. Raises an error of pyarrow or ValueError when it is damaged."""
    planes = np.frombuffer(_codec().decompress(np.ascontiguousarray(blob), decompressed_size=base.nbytes), np.uint8)
    zigzag = np.ascontiguousarray(planes.reshape(4, -1).T).view(np.uint32).reshape(-1)
    signed = (zigzag >> 1) ^ (0 - (zigzag & 1))
    return signed + base
