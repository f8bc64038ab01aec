"""The manifest of a job's checkpoints: `checkpoints.json`, the one file that stands for all of them in the workflow.

It names each checkpoint folder below its own, and of every file in there the size and the SHA-256. It is written last, so where it is,
the weights are; and it is small, so Snakemake compares it by content. Sizes are looked at whenever a checkpoint is opened, contents by
`snakemake verify`. No torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from forgetting.errors import CheckpointError
from forgetting.tables import atomic

MANIFEST = "checkpoints.json"
_STEP = re.compile(r"step-(\d+)")
Files = dict[str, dict[str, str | int]]
"""Of one checkpoint: by name of the file its `sha256` and its `size` in bytes."""


def step_name(step: int) -> str:
    """The folder of the checkpoint of a step."""
    return f"step-{step:06d}"


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Write the manifest of the finished checkpoints `names` (paths below `folder`, the folder of the job) to `folder`."""
    manifest = {name: _describe(folder / name) for name in sorted(names)}
    with atomic(folder / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def withdraw_manifest(folder: Path) -> None:
    """Remove the manifest, before the first of the checkpoints that it lists is touched."""
    (folder / MANIFEST).unlink(missing_ok=True)


def read_manifest(path: Path) -> dict[str, Files]:
    """The files of each checkpoint, by its path below the manifest's folder. Raises CheckpointError that names a damaged manifest."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {name: {file: {"sha256": f["sha256"], "size": f["size"]} for file, f in files.items()} for name, files in manifest.items()}
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as a list of checkpoints ({error!r:.100}); delete it and run again") from None


def checkpoint_folders(folder: Path) -> dict[str, Path]:
    """The checkpoints directly below `folder`, by name: those that the manifest beside `folder` lists, there or not; without one, those
    that are there."""
    manifest = folder.parent / MANIFEST
    if not manifest.is_file():
        return {path.name: path for path in sorted(folder.glob("*")) if path.is_dir()}
    listed = map(PurePosixPath, read_manifest(manifest))
    return {path.name: folder / path.name for path in listed if path.parent.name == folder.name}


def step_folders(folder: Path) -> dict[int, Path]:
    """Those of them that are called `step-000150` and the like, by step, ascending; `matched` is none."""
    found = {name: _STEP.fullmatch(name) for name in checkpoint_folders(folder)}
    return dict(sorted((int(match[1]), folder / name) for name, match in found.items() if match))


def check_sizes(folder: Path) -> None:
    """Raise CheckpointError when a file of the checkpoint `folder` is missing or of another size than its manifest says. A folder that is
    in no manifest, such as a model from elsewhere, is taken as it is."""
    folder = Path(os.path.abspath(folder))
    for parent in list(folder.parents)[:2]:
        if (parent / MANIFEST).is_file():
            listed = read_manifest(parent / MANIFEST).get(folder.relative_to(parent).as_posix(), {})
            if wrong := next(_wrong_sizes(folder, listed), None):
                raise CheckpointError(f"{wrong}, by {parent / MANIFEST}; {_remedy(parent / MANIFEST)}")
            return


def damages(manifest: Path) -> Iterator[str]:
    """What is wrong with the checkpoints of one manifest, contents included, one line for each file. Reads all of them."""
    for name, files in read_manifest(manifest).items():
        folder = manifest.parent / name
        wrong = list(_wrong_sizes(folder, files))
        yield from wrong
        if not wrong:
            yield from (
                f"{folder / file}: has other contents than when it was written"
                for file, found in files.items()
                if _sha256(folder / file) != found["sha256"]
            )


def _remedy(manifest: Path) -> str:
    return f"to make it again: delete {manifest} and run again, or `snakemake --forcerun {os.path.relpath(manifest)}` with your target"


def _wrong_sizes(folder: Path, files: Files) -> Iterator[str]:
    for file, expected in files.items():
        path = folder / file
        if not path.is_file():
            yield f"{path}: is missing"
        elif path.stat().st_size != expected["size"]:
            yield f"{path}: has {path.stat().st_size} bytes instead of {expected['size']}"


def _describe(folder: Path) -> Files:
    return {path.name: {"sha256": _sha256(path), "size": path.stat().st_size} for path in own_files(folder)}


def own_files(folder: Path) -> list[Path]:
    """The files of a checkpoint, by name. Hidden ones (.DS_Store, .nfs of a network file system, an editor's) are none of ours."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
