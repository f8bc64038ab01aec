"""Checkpoints of Task 1 as differences from the model before it: size, and time to write and read, on one core; and what bfloat16 loses."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import Tensor

from common import print_table, use_threads
from forgetting.model.checkpoints import load_weights
from forgetting.model.difference import DIFFERENCE, Base, read_difference, write_difference

Weights = dict[str, Tensor]
Coding = Callable[[np.ndarray, np.ndarray], np.ndarray]
CODINGS: dict[str, Coding] = {
    "no base": lambda bits, base: bits,
    "exclusive or": lambda bits, base: bits ^ base,
    "subtracted": lambda bits, base: _zigzag((bits - base).view(np.int32)),
}
CODECS = {"zstd 1": ("zstd", 1), "zstd 3": ("zstd", 3), "zstd 9": ("zstd", 9), "lz4": ("lz4", None)}


def _zigzag(signed: np.ndarray) -> np.ndarray:
    return ((signed << 1) ^ (signed >> 31)).view(np.uint32)


def timed(function: Callable[[], object]) -> float:
    """Seconds of this process's CPU: other jobs on the machine count little."""
    start = time.process_time()
    function()
    return time.process_time() - start


def codings(weights: Weights, base: Weights) -> list[list[object]]:
    """Share of the size, and seconds a GB, of each way to compress byte planes; equal weights are left out."""
    rows: list[list[object]] = []
    whole = sum(weight.nbytes for weight in weights.values())
    for coding_name, coding in CODINGS.items():
        for codec_name, (codec, level) in CODECS.items():
            size, compressor = 0, pa.Codec(codec, compression_level=level)
            start = time.process_time()
            for name, weight in weights.items():
                bits, before = (tensor.reshape(-1).numpy().view(np.uint32) for tensor in (weight, base[name]))
                if coding_name == "no base" or not np.array_equal(bits, before):
                    planes = np.ascontiguousarray(coding(bits, before).view(np.uint8).reshape(-1, 4).T)
                    size += min(len(compressor.compress(planes)), weight.nbytes)
            rows.append([coding_name, codec_name, size / whole, (time.process_time() - start) / whole * 1e9])
    return rows


def lost_in_bfloat16(weights: Weights, base: Weights) -> tuple[float, float]:
    """Share of the changed weights whose rounded value did not change, and the norm of the error of the rounded update by its own."""
    changed = lost = 0
    error = norm = 0.0
    for name, weight in weights.items():
        update = weight - base[name]
        rounded = weight.bfloat16().float() - base[name].bfloat16().float()
        changed += int((update != 0).sum())
        lost += int(((update != 0) & (rounded == 0)).sum())
        error += float((rounded - update).double().square().sum())
        norm += float(update.double().square().sum())
    return lost / max(1, changed), (error / norm) ** 0.5 if norm else float("nan")


def measured(folder: Path, base_folder: Path, base: Weights, scratch: Path) -> list[float]:
    """One checkpoint: size of its difference as a share of the whole, seconds a GB to write and to read it and to write the whole, and what
    bfloat16 loses. Stops when other bits are read than were written."""
    weights, path = load_weights(folder), scratch / DIFFERENCE
    size = sum(weight.nbytes for weight in weights.values())
    write = timed(lambda: write_difference(weights, Base(base_folder, scratch), path))
    share = path.stat().st_size / size
    read = timed(lambda: read_difference(scratch))
    found = read_difference(scratch)
    assert all(torch.equal(found[name].view(torch.int32), weight.view(torch.int32)) for name, weight in weights.items()), folder
    whole = timed(lambda: save_file(weights, scratch / "whole.safetensors"))
    return [share, *(seconds / size * 1e9 for seconds in (write, read, whole)), *lost_in_bfloat16(weights, base)]


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("base", type=Path, help="model that the arm started from, such as results/laptop/seed0/task0/model")
    command.add_argument("checkpoints", type=Path, help="of the arm, such as results/laptop/seed0/task1/seq/checkpoints")
    command.add_argument("--until", type=int, default=200, help="last step")
    given = command.parse_args()
    use_threads(1)
    torch.set_num_threads(1)
    base = load_weights(given.base)
    folders = [folder for folder in sorted(given.checkpoints.glob("step-*")) if int(folder.name.removeprefix("step-")) <= given.until]
    with tempfile.TemporaryDirectory() as name:
        rows = [measured(folder, given.base, base, Path(name)) for folder in folders]
    columns = ["checkpoint", "share of the whole", "write, s/GB", "read, s/GB", "write the whole, s/GB", "changes lost in bfloat16"]
    table = [[folder.name, *row] for folder, row in zip(folders, rows, strict=True)]
    print_table("Differences", [*columns, "error of the update in bfloat16"], [*table, ["mean", *np.mean(rows, axis=0).tolist()]])
    middle = folders[len(folders) // 2]
    print_table(f"Ways to compress {middle.name}", ["coding", "codec", "share of the whole", "s/GB"], codings(load_weights(middle), base))


if __name__ == "__main__":
    main()
