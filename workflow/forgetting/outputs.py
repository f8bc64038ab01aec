"""Writing one result in several formats: all files or none, and never half a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from forgetting.tables import atomic, writing


def output_paths(outputs: Sequence[str | Path], formats: Sequence[str]) -> list[Path]:
    """The files to write: the given paths, or one in each format when a single path without such a suffix (a stem) is given.

    Raises ValueError that names a path of another format.
    """
    paths = [Path(output) for output in outputs]
    if len(paths) == 1 and paths[0].suffix.lstrip(".") not in formats:
        return [paths[0].with_name(f"{paths[0].name}.{kind}") for kind in formats]
    for path in paths:
        if path.suffix.lstrip(".") not in formats:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(formats)}")
    return paths


def write_formats(paths: Sequence[Path], write: Callable[[Path, str], None]) -> None:
    """Call `write(temporary path, format)` for each path, and move all into place when every one has been written."""
    with ExitStack() as stack:
        parts = [stack.enter_context(atomic(path)) for path in paths]
        for path, part in zip(paths, parts, strict=True):
            with writing(path):
                write(part, path.suffix.lstrip("."))
