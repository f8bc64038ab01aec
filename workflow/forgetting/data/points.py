"""Which steps of a Task 1 run count, read from its metrics: the early trough and the early stop. (No torch.)"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

TROUGH_WITHIN = 150
"""Steps within which the lowest Task 0 accuracy counts as the early trough (science §3)."""

EARLY_STOP = "early_stop_step"
"""Metric that holds the first evaluation step at which Task 1 was learned (NaN: never)."""


def curve(metrics: pd.DataFrame, group: str, metric: str = "exact_match", attribute: str = "all") -> pd.DataFrame:
    """The rows of one group and metric, by step. `metrics` holds one run (one seed, one arm). Raises ValueError when there are none."""
    chosen = (metrics["group"] == group) & (metrics["metric"] == metric) & (metrics["attribute"] == attribute)
    rows = metrics.loc[chosen, ["step", "value", "low", "high"]]
    if rows.empty:
        raise ValueError(f"the metrics have no row of group {group!r}, metric {metric!r}, attribute {attribute!r}")
    return rows.sort_values("step", ignore_index=True)


def trough_checkpoint(metrics: pd.DataFrame, steps: list[int]) -> int:
    """The kept checkpoint within the first 150 steps at which Task 0 exact match of `task0_val` is lowest (the first such), so that what is
    then reported of `task0_test` is no extreme of itself. `metrics` holds one run. A run that never had Task 0 has no trough: its last
    checkpoint of these steps stands for it."""
    early = [step for step in steps if step <= TROUGH_WITHIN] or [min(steps)]
    if never_had_task0(str(metrics["arm"].iloc[0])):
        return max(early)
    values = curve(metrics, "task0_val").set_index("step")["value"]
    return int(values.loc[early].idxmin())


def early_stop_step(metrics: pd.DataFrame) -> float:
    """Step of the first evaluation at which Task 1 was learned in one run; NaN when it never was."""
    rows = metrics.loc[metrics["metric"] == EARLY_STOP, "value"]
    return float(rows.iloc[-1]) if len(rows) else float("nan")


NO_TASK0 = "-no-task0"
"""How the name of every arm ends that starts from the pretrained model, and of no other (`arms.check_name`)."""


def never_had_task0(arm: str) -> bool:
    """Whether an arm of this name starts from the pretrained model; `check_name` sees to it that the name tells."""
    return arm.endswith(NO_TASK0)


def floor_of(arm: str, arms: Collection[str]) -> str | None:
    """The arm among `arms` that is this one without Task 0: of the same name with `-no-task0`, else `seq-no-task0`, else None."""
    names = (arm if never_had_task0(arm) else f"{arm}{NO_TASK0}", f"seq{NO_TASK0}")
    return next((name for name in names if name in arms), None)
