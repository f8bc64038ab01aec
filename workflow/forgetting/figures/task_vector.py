"""Does taking the task vector back bring Task 0 back, and what does it cost of Task 1?

**What it shows.** What is won and lost when a part of the Task 1 update is taken back from the weights,
without any training.

**How to read it.** *a*: both tasks against alpha, the share of the task vector that is subtracted (0 is ``seq``),
at the end of the run, and Task 0 where Task 1 still reaches the stated accuracy. *b*: the same ends on the plane of
both tasks, alpha beside the points where there is room, with the path of ``seq`` over time. Other marks: vectors
that end at an earlier checkpoint, in their names as a share of the run.

Nothing is trained, so a task vector is evaluated at the saved checkpoints of ``seq`` only, which late in the
run are some hundred steps apart (about 300 of 2,000 by default). Where Task 1 is matched is therefore
interpolated over wider gaps than for arms that train.

**What to look for.** Points of *b* above the path of ``seq``: there the vector does better than stopping
early, which costs nothing.

**What would contradict its merit.** Task 1 falls as fast as Task 0 rises: then the vector moves back along
the path.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.curves import method_summary
from forgetting.figures import style

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 5,
    "only_if": "compared:task_vector",
    "inputs": {
        "metrics": ["compared:seq,task_vector"],
        "floors": [],
        "paper": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_FAMILY = "task-vector"
_LOOKS = {
    "final": style.Look("#6F6600", ">", "Task 0, end of the run"),
    "matched": style.Look("#0072B2", "P", "Task 0 at matched Task 1"),
    "task1_final": style.Look("#CC79A7", "o", "Task 1, end of the run"),
}


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, paper: dict[str, Any], matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs (seq, as alpha 0, and the task vector arms are used), METRICS floors. `paper`: as `read_paper`
    gives it."""
    alpha = {arm: 0.0 if arm == "seq" else style.arm_knob(arm, _FAMILY) for arm in style.arm_order(metrics["arm"])}
    curve_arms = [arm for arm, found in alpha.items() if found is not None]
    others = [arm for arm in style.arm_order(metrics["arm"]) if style.arm_family(arm) == f"{_FAMILY}-end"]
    rows = metrics[metrics["arm"].isin([*curve_arms, *others])]
    summary = method_summary(rows, matched_accuracy)
    summary = summary[~summary["early_stop"]].assign(alpha=summary["arm"].map(alpha).astype(float))
    on_curve, seeds = summary[summary["alpha"].notna()], metrics["seed"].nunique()
    figure, axes = style.new_figure(1, 2, height=3.5)
    first, second = axes[0]
    for column, look in _LOOKS.items():
        style.draw_column(first, on_curve, column, "alpha", look, seeds)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    style.accuracy_axis(first, "exact match (share of answers)")
    first.set_xlabel("α: share of the task vector taken back (0: seq)")
    style.title(first, "a", "both tasks")
    _trade_off(second, on_curve, summary[summary["arm"].isin(others)], seeds)
    style.draw_path(second, metrics[metrics["arm"] == "seq"], style.SEQUENTIAL, alpha=0.8, zorder=1)
    style.draw_floor(second, floors, "task0_test", "exact_match")
    handles = [style.line_handle(look.label, look.color, marker=look.marker) for look in _LOOKS.values()]
    handles += [style.line_handle("b: seq over time", style.SEQUENTIAL, linewidth=1.0)]
    handles += [style.line_handle("b: over α, end of the run", _LOOKS["final"].color, marker=">")]
    style.legend(figure, [*handles, *style.arm_handles(others, linestyle="none"), style.FLOOR_HANDLE], columns=3)
    style.note(
        figure, metrics, f"Matched: where Task 1 reaches {100 * matched_accuracy:g} %; no point where it does not. {_published(paper)}"
    )
    return figure


def _trade_off(panel: Axes, summary: pd.DataFrame, others: pd.DataFrame, seeds: int) -> None:
    """Task 0 against Task 1 at the end, joined over alpha, which is written beside the points."""
    look = _LOOKS["final"]
    task0, task1 = (style.mean_of(summary, column, ["alpha"], seeds) for column in ("final", "task1_final"))
    both = task0.merge(task1[["alpha", "value"]].rename(columns={"value": "task1"}), on="alpha").sort_values("alpha")
    style.error_bars(panel, both, "task1", look, linestyle="-", linewidth=1.0)
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7, "color": look.color, "va": "center"}
    for row in _apart(both).itertuples():
        side = 1 if row.task1 < 0.9 else -1  # above the line, or below it where the panel ends
        panel.annotate(f"{row.alpha:g}", (row.task1, row.value), xytext=(6 * side, 6 * side), ha="left" if side > 0 else "right", **text)
    for arm, rows in others.groupby("arm", sort=False):
        y, x = (style.mean_of(rows, column, ["arm"], seeds) for column in ("final", "task1_final"))
        style.error_bars(panel, y.assign(task1=x["value"]), "task1", style.arm_look(str(arm)), markersize=6)
    style.accuracy_axis(panel, "Task 0 exact match")
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("Task 1 exact match")
    style.title(panel, "b", "trade-off over α (numbers)")


def _apart(points: pd.DataFrame) -> pd.DataFrame:
    """The points whose labels do not run into that of the point before."""
    kept: list[int] = []
    for place in range(len(points)):
        here = points[["task1", "value"]].iloc[place]
        if not kept or (here - points[["task1", "value"]].iloc[kept[-1]]).abs().max() >= 0.1:
            kept.append(place)
    return points.iloc[kept]


def _published(paper: dict[str, Any]) -> str:
    found = paper["families"].get(_FAMILY)
    if not found:
        return ""
    return (
        f"The paper's best: Task 0 {100 * found['task0']:.4g} % at Task 1 {100 * found['task1']:.4g} %, another model and data "
        f"({found['source']}; {found['reliability']})."
    )
