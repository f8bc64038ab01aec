"""Task 1 in other values and another form, the cells of the crossed experiment: their names, and where they lie. (No torch.)"""

from __future__ import annotations

import re
from pathlib import Path

from forgetting.data.points import NO_TASK0

VALUES = ("all", "half")
FORMATS = ("same", "other", "statement")
HALF_TABLE = "cells/halves.parquet"
"""Of which half of the values each unit is, below the folder of the data."""


def cell_file(data: Path, cell: str) -> Path:
    """ITEMS of Task 1 in the cell `<values>-<format>`, below the folder of the data."""
    return data / f"cells/{cell}.parquet"


def factors_of_arm(arm: str) -> tuple[str, str] | None:
    """Values and format that the name of an arm of the experiment tells: `seq`, then `-half`, `-other` or `-statement`; None of others."""
    found = re.fullmatch(r"seq(-half)?(?:-(other|statement))?", arm.removesuffix(NO_TASK0))
    return (("half" if found[1] else "all"), found[2] or "same") if found else None


def cell_of_arm(arm: str) -> str | None:
    """The cell that the name tells, None where it is that of every arm. Raises ValueError for a name of another kind."""
    factors = factors_of_arm(arm)
    if factors is None:
        raise ValueError(f"factors names {arm!r}: the arms of this experiment are called seq, then -half, -other or -statement")
    return None if factors == (VALUES[0], FORMATS[0]) else "-".join(factors)
