"""Does each task of a sequence take more steps to learn?

**What it shows.** The first evaluation at which the accuracy on the task being learned reaches the early stop, for every
task of the sequence; and, sequentially, for the same task learned straight after Task 0, with nothing in between (*seq,
alone*).

**How to read it.** Steps are those of the evaluations. Of one run a bar reaches down to the evaluation before, at which
the task was not learned yet: it was learned somewhere along the bar, and overlapping bars are no difference. Marks of a
task stand side by side. A mark at the upper edge, joined by no line: never learned within the run.

**What to look for.** A line that rises (the model gets slower to learn: a loss of plasticity) or falls below
*alone* (the tasks before it helped).

**What would contradict the claim.** A rise for every arm alike, *alone* as well, is a task that is harder, not a model
that is less plastic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.sequence import ALONE, steps_to_learn, task_names, with_first_task_alone
from forgetting.figures import style
from forgetting.schemas.facts import ACCURACY
from forgetting.statistics import RATIO, over_seeds

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 4,
    "inputs": {"sequence": ["all"], "sequence_metrics": ["all"], "alone": []},
}

_ALONE = style.Look("#5A5A5A", "D", "seq, alone after Task 0", line="--")


def draw(sequence: pd.DataFrame, sequence_metrics: pd.DataFrame, alone: pd.DataFrame) -> Figure:
    """Frames: SEQUENCE, METRICS of all tasks and arms, METRICS of the tasks learned alone."""
    names = task_names(sequence)
    metrics = pd.concat([sequence_metrics, alone])
    found, seeds = steps_to_learn(metrics, names), metrics["seed"].nunique()
    rows = with_first_task_alone(found if seeds > 1 else _with_evaluation_before(found, metrics, names))
    arms = style.arm_order(sequence_metrics["arm"])
    figure, axes = style.new_figure(1, 1, height=3.2 + 0.2 * max(0, len(arms) // 3 - 3))
    panel = axes[0, 0]
    longest = float(sequence_metrics["step"].max())
    looks = {arm: style.arm_look(arm) for arm in arms} | {ALONE: _ALONE}
    for (arm, look), beside in zip(looks.items(), style.side_by_side(len(looks)), strict=True):
        _draw_arm(panel, rows[rows["arm"] == arm], look, longest, beside)
    failed = rows["value"].isna().any()
    panel.set_ylim(0, 1.1 * (longest if failed else rows[["value", "high"]].max(axis=None)))
    style.plain_numbers(panel.yaxis)
    panel.set_xticks(range(1, len(names)))
    panel.set_xlim(0.7, len(names) - 0.7)
    panel.set_title("steps to learn each task")
    panel.set_xlabel("task")
    panel.set_ylabel("steps until it was learned")
    handles = [*style.arm_handles(arms), style.line_handle(_ALONE.label, _ALONE.color, marker=_ALONE.marker, linestyle=_ALONE.line)]
    style.legend(figure, handles, columns=4)
    resolution = f"Evaluations: at most {_farthest(sequence_metrics):,g} steps apart."
    text = (
        f"One seed; bars: down to the evaluation before. {resolution}"
        if seeds == 1
        else f"{style.interval_note(rows, 'bars')} {resolution}"
    )
    style.small_print(figure, f"{text} Mark at the top: {style.unlearned(seeds)}." if failed else text)
    return figure


def _with_evaluation_before(rows: pd.DataFrame, metrics: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The rows of `steps_to_learn` with the last evaluation before as `low`: all that is known is that it was later than that."""
    evaluated = metrics.loc[metrics["metric"] == ACCURACY, ["seed", "arm", "stage", "step"]].drop_duplicates()
    evaluated = evaluated.assign(task=evaluated["stage"].map({name: place for place, name in enumerate(names)}))
    both = rows.merge(evaluated, on=["seed", "arm", "task"])
    before = both[both["step"] < both["value"]].groupby(["seed", "arm", "task"])["step"].max().rename("low")
    return rows.drop(columns="low").merge(before, on=["seed", "arm", "task"], how="left").assign(high=rows["value"].to_numpy())


def _farthest(metrics: pd.DataFrame) -> float:
    """The largest distance of two evaluations of a run."""
    steps = metrics.loc[metrics["metric"] == ACCURACY, ["seed", "arm", "stage", "step"]].drop_duplicates().sort_values("step")
    return float(steps.groupby(["seed", "arm", "stage"])["step"].diff().max())


def _draw_arm(panel: Axes, rows: pd.DataFrame, look: style.Look, longest: float, beside: float) -> None:
    """Mean over seeds of each task that every seed learned; an open mark for the others. beside: how far from the tick of its task."""
    learned = rows.groupby("task")["value"].transform(lambda values: values.notna().all())
    there, missing = rows[learned], sorted(rows.loc[~learned, "task"].unique())
    if len(there):
        merged = over_seeds(there, ["task"], rows["seed"].nunique(), kind=RATIO)
        merged["task"] += beside
        style.error_bars(panel, merged, "task", look, linestyle=look.line, linewidth=1.0)
    mark: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "markerfacecolor": "white"}
    panel.plot(np.array(missing) + beside, [1.05 * longest] * len(missing), **mark)
