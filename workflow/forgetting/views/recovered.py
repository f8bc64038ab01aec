"""The recovered weights that a recovery probe with a curve keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from forgetting.errors import StudyError

KINDS = ("recovery_trough", "recovery_end")
_NAME = re.compile(r"task1-(\d+)-([\d.]+)")


@dataclass(frozen=True)
class Recovered:
    """Folders of recovered weights by (Task 1 step recovered from, epochs of recovery); none for an arm without a curve."""

    folders: Mapping[tuple[int, float], Path]

    @classmethod
    def find(cls, folder: str | Path | None) -> Self:
        """`folder` holds `task1-150-0.25` and the like. Raises StudyError that names it when they start from more than two steps."""
        names = {} if folder is None else {path: _NAME.fullmatch(path.name) for path in Path(folder).glob("task1-*")}
        found = cls({(int(match[1]), float(match[2])): path for path, match in names.items() if match})
        if len(found.steps) > len(KINDS):
            raise StudyError(f"{folder}: recovered weights from trough and end were expected, found those from steps {found.steps}")
        return found

    @property
    def steps(self) -> list[int]:
        return sorted({step for step, _ in self.folders})

    @property
    def from_end(self) -> Path | None:
        """The weights recovered longest from the end of Task 1; None where none were kept."""
        return self.folders[max(self.folders)] if self.folders else None

    def points(self, task1: Mapping[int, Path]) -> Iterator[tuple[str, int, float, Path]]:
        """(kind, step, epochs, folder) along the recovery from the trough (if it is not the end) and from the end; epochs 0 is the
        checkpoint in `task1` recovered from."""
        for kind, step in zip(KINDS[-len(self.steps) :], self.steps, strict=False):
            yield kind, step, 0.0, task1[step]
            for (start, epochs), folder in sorted(self.folders.items()):
                if start == step:
                    yield kind, step, epochs, folder
