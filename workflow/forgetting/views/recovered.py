"""The recovered weights that a recovery probe with a curve keeps, see `forgetting.stages.recovery`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from forgetting.data.points import END, TROUGH
from forgetting.model.manifest import checkpoint_folders

_NAME = re.compile(rf"({TROUGH}|{END})-([\d.]+)")


@dataclass(frozen=True)
class Recovered:
    """Folders of recovered weights by (trough or end, epochs of recovery), none for an arm without a curve; `trough` is its step."""

    folders: Mapping[tuple[str, float], Path]
    trough: int = 0

    @classmethod
    def find(cls, folder: str | Path | None, trough: int) -> Self:
        """`folder` holds `trough-0.25`, `end-1` and the like."""
        names = {} if folder is None else {path: _NAME.fullmatch(name) for name, path in checkpoint_folders(Path(folder)).items()}
        return cls({(match[1], float(match[2])): path for path, match in names.items() if match}, trough)

    def longest(self, start: str) -> Path | None:
        """The weights recovered longest from `start` (trough or end); None where none were kept."""
        found = {epochs: folder for (name, epochs), folder in self.folders.items() if name == start}
        return found[max(found)] if found else None

    def points(self, task1: Mapping[int, Path]) -> Iterator[tuple[str, int, float, Path]]:
        """(kind, step, epochs, folder) along the recovery from the trough (if it is not the end) and from the end; epochs 0 is the
        checkpoint in `task1` recovered from."""
        last = max(task1)
        for start, step in {TROUGH: self.trough, END: last}.items():
            kept = sorted((epochs, folder) for (name, epochs), folder in self.folders.items() if name == start)
            if kept and (start == END or step != last):
                yield from ((f"recovery_{start}", step, epochs, folder) for epochs, folder in [(0.0, task1[step]), *kept])
