"""The points of a Task 1 run that everything refers to: which of its steps they are, and how they are called. (No torch.)

| point | step | found from |
| --- | --- | --- |
| trough | where Task 0 is lowest, of those kept up to step 150 | exact match of `task0_val`, so that `task0_test` is no extreme of itself |
| early | the last one kept up to step 150, before the end: 150, unless the run is shorter | the kept steps |
| matched | where Task 1 was learned: the first evaluation at `early_stop_accuracy`; absent where it never was | the metrics |
| end | the last one | the kept steps |

Weights of the early point and the end are those of their step, of the matched one those in the folder `matched`. Tables of the
features, the weights and the theory call a point of Task 1 `task1_early` and so on, as they have checkpoints of other stages too.
(`analysis/curves.trough` is another thing: the lowest of all evaluations of a curve, whose weights nobody kept.)
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from forgetting.schemas.facts import ACCURACY

TROUGH, EARLY, MATCHED, END = "trough", "early", "matched", "end"
TASK1_EARLY, TASK1_MATCHED, TASK1_END = "task1_early", "task1_matched", "task1_end"

EARLY_STEP = 150
"""The step of the early point, within which the trough lies: the end of the paper's alignment direction."""

REFERENCE_ORIGIN = 100
"""Where that direction starts in the paper's landscape."""

WORDS = {TROUGH: f"lowest in the first {EARLY_STEP} steps", EARLY: f"step {EARLY_STEP}", MATCHED: "Task 1 learned", END: "end"}
"""What figures and tables call the points."""

TIMES = {TROUGH: "early", EARLY: "early", END: "late"}
"""At which of two times a point says what became of Task 0; the matched one is at neither."""

EARLY_STOP = "early_stop_step"
"""Metric that holds the step of the matched point (NaN: Task 1 was never learned)."""


def point_of(name: str) -> str:
    """The point of `task1_early` and the like; any other name as it is."""
    return name.removeprefix("task1_")


def curve(metrics: pd.DataFrame, split: str, metric: str = ACCURACY, kind: str = "all") -> pd.DataFrame:
    """The rows of one split and metric, by step. `metrics` holds one run (one seed, one arm). Raises ValueError when there are none."""
    chosen = (metrics["split"] == split) & (metrics["metric"] == metric) & (metrics["kind"] == kind)
    rows = metrics.loc[chosen, ["step", "value", "low", "high"]]
    if rows.empty:
        raise ValueError(f"the metrics have no row of split {split!r}, metric {metric!r}, kind {kind!r}")
    return rows.sort_values("step", ignore_index=True)


def trough_step(metrics: pd.DataFrame, kept: Collection[int]) -> int:
    """The trough among the kept steps of Task 1 (the first such); the first one kept where none is by `EARLY_STEP`.

    `metrics` holds one run. A run that never had Task 0 has no trough: its last kept step by `EARLY_STEP` stands for it.
    """
    within = [step for step in kept if step <= EARLY_STEP] or [min(kept)]
    if never_had_task0(str(metrics["arm"].iloc[0])):
        return max(within)
    values = curve(metrics, "task0_val").set_index("step")["value"]
    return int(values.loc[within].idxmin())


def early_step(kept: Collection[int]) -> int:
    """The early point among the kept steps of Task 1, step 0 apart. Raises ValueError when there is none before the end."""
    last = max(kept)
    within = [step for step in kept if 0 < step <= EARLY_STEP and step < last]
    if not within:
        raise ValueError(f"no checkpoint between step 1 and {min(EARLY_STEP, last - 1)}, found steps {sorted(kept)}")
    return max(within)


def matched_step(metrics: pd.DataFrame) -> float:
    """The step of the matched point of one run; NaN when Task 1 was never learned."""
    rows = metrics.loc[metrics["metric"] == EARLY_STOP, "value"]
    return float(rows.iloc[-1]) if len(rows) else float("nan")


NO_TASK0 = "-no-task0"
"""How the name of every arm ends that starts from the pretrained model, and of no other (`knobs.check_name`)."""


def never_had_task0(arm: str) -> bool:
    """Whether an arm of this name starts from the pretrained model; `check_name` sees to it that the name tells."""
    return arm.endswith(NO_TASK0)


def floor_of(arm: str, arms: Collection[str]) -> str | None:
    """The arm among `arms` that is this one without Task 0: of the same name with `-no-task0`, else `seq-no-task0`, else None."""
    names = (arm if never_had_task0(arm) else f"{arm}{NO_TASK0}", f"seq{NO_TASK0}")
    return next((name for name in names if name in arms), None)


def own_floor(arm: str, floor: str) -> bool:
    """Whether the floor that `floor_of` found, if any, is the arm itself without Task 0, and not plain fine-tuning in place of it."""
    return floor in ("", f"{arm}{NO_TASK0}")
