"""The questions as an arm of Task 1 has them: in another cell of values and format, or about fewer units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forgetting.data.cells import cell_file
from forgetting.data.items import Items


def files_of_arm(data: Path, cell: str | None) -> list[Path]:
    """What `questions_of_arm` reads."""
    return [data / "items.parquet", *([cell_file(data, cell)] if cell else [])]


def questions_of_arm(data: Path, cell: str | None, units: int | None) -> Items:
    """All questions of a study, those of Task 1 from the file of a `cell` (None: as everyone has them), of its first `units` (None: all).
    Raises TableError that names a missing or broken file."""
    questions, *others = (Items.load(file) for file in files_of_arm(data, cell))
    for other in others:
        questions = questions.select(questions.task != "task1").joined_with(other)
    if units is None:
        return questions
    of_task1 = questions.task == "task1"
    return questions.select(~of_task1 | np.isin(questions.unit, np.unique(questions.unit[of_task1])[:units]))
