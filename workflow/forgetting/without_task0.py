"""Arms that never had Task 0, known by their names: the floors that other arms are held against."""

from __future__ import annotations

from collections.abc import Collection

NO_TASK0 = "-no-task0"
"""How the name of every arm ends that starts from the pretrained model, and of no other (`arms.check_name`)."""


def never_had_task0(arm: str) -> bool:
    """Whether an arm of this name starts from the pretrained model; `check_name` sees to it that the name tells."""
    return arm.endswith(NO_TASK0)


def floor_of(arm: str, arms: Collection[str]) -> str | None:
    """The arm among `arms` that is this one without Task 0: of the same name with `-no-task0`, else `seq-no-task0`, else None."""
    names = (arm if never_had_task0(arm) else f"{arm}{NO_TASK0}", f"seq{NO_TASK0}")
    return next((name for name in names if name in arms), None)
