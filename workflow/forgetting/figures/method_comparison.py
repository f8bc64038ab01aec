"""Which method keeps most of Task 0, and of which does most come back?

**What it shows.** Every method of the comparison: what it keeps of Task 0 while Task 1 is learned, and what
comes back of the rest. Each family of methods has its own colour and marker.

**How to read it.** *a*: a large mark is the end of the chosen arm of a family, whose line goes there from the
upper left (Task 0 known, Task 1 not); strong are the lines of ``seq`` and of arms with a double dagger. Small marks are
the other arms of its grid.
The horizontal axis is of square roots, which opens the first steps; the upper right corner would be learning
without forgetting. Arms differ in length, as the small print says: one that learns more slowly gets more
steps. *b*: the filled mark is Task 0 where Task 1 reaches the stated accuracy, interpolated between
evaluations; the open one the model of the first evaluation that did, after one epoch of recovery on Task 0.
Small marks are the other arms at the same accuracy. A dagger is an arm that did not learn Task 1 (in every
seed): both marks of its row are from the end of its run, in all seeds. Pale dots: single seeds. A double dagger
is an arm whose gain over ``seq``, at a Task 1 accuracy that every seed of both reaches, is above zero by an
interval that holds for all rows together; without one, the data leave open that the arm keeps no more.

**What to look for.** A method that keeps *alignment* has a filled mark far to the right: little is lost at
all. One that keeps *knowledge* has an open mark beyond that of ``seq``. The knob of each family was chosen on
validation persons, so the marks are not the best of many on the persons they are scored on.

**What would contradict a method's merit.** A dagger; a gain over ``seq`` that is not surely above zero (*minus
seq* in the table of the chosen arms: of the same seeds, so it can be sure where the intervals here overlap).
An open mark no further right than the line of the pretrained model, which has only the question format to
learn, shows nothing that Task 0 taught; where that model is at its ceiling, no mark can be beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.comparison import after_one_epoch, compared_points, surely_beyond_seq
from forgetting.analysis.curves import method_summary
from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import curve
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "metrics": ["compared"],
        "recovery": ["compared", "controls"],
        "floors": [],
        "choice": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_BEFORE: dict[str, Any] = {"color": "#000000", "linewidth": 0.8, "linestyle": (0, (1, 1.5))}
_PRETRAINED: dict[str, Any] = {"color": style.CONTROLS["pretrained"].color, "linewidth": 0.9, "linestyle": (0, (5, 2))}
_CONTROL: dict[str, Any] = {"color": style.CONTROL_LABEL, "linewidth": 1.0, "linestyle": ":"}
_CHOSEN_PATH: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.8, "markevery": style.ALONG, "markersize": 3}
_FAINT_PATH: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.2, "zorder": 1.5}
_FAINT: dict[str, Any] = {"markersize": 3, "alpha": 0.45, "linestyle": "none", "markeredgewidth": 0, "clip_on": False}
_ROW = 0.27
"""Height of a row of panel b, inches."""


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame, choice: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the compared arms, RECOVERY of them and of the controls, METRICS floors, CHOICE. `matched_accuracy`: Task 1
    accuracy at which the arms are compared."""
    families = choice.set_index("arm")["family"].to_dict()
    metrics = metrics[metrics["arm"].isin(list(families))]
    chosen = style.arm_order(choice.loc[choice["chosen"], "arm"])
    summary = method_summary(metrics, matched_accuracy)
    summary = summary[~summary["early_stop"]].assign(family=summary["arm"].map(families))
    figure, axes = style.new_figure(1, 2, height=2.2 + _ROW * max(len(chosen), 7), width_ratios=[1, 1.05])
    first, second = axes[0]
    beyond = surely_beyond_seq(metrics[metrics["arm"].isin(chosen)], matched_accuracy)
    _frontier(first, metrics, summary, chosen, {"seq", *beyond})
    style.draw_floor(first, floors, "task0_test", "exact_match")
    first.axhline(_control_accuracy(metrics), **_CONTROL, zorder=1)
    style.title(first, "a", "over time, and the end")
    points = compared_points(metrics[metrics["arm"].isin(chosen)], recovery)
    _kept(second, summary, after_one_epoch(points, recovery), chosen, matched_accuracy, beyond)
    _levels(second, summary, recovery)
    _legend(figure)
    style.note(figure, metrics, _remarks(summary))
    return figure


def _remarks(summary: pd.DataFrame) -> str:
    """What the small print says beside the intervals."""
    length = summary["steps"] / summary.loc[summary["arm"] == "seq", "steps"].iloc[0]
    seeds = summary["seed"].nunique()
    text = f"†: Task 1 was {style.unlearned(seeds)}, so b shows the end of the run."
    if seeds > 1:
        text += " ‡: surely more Task 0 than seq, of all rows of b together."
    return text if length.nunique() < 2 else f"{text} Runs in a: {length.min():g} to {length.max():g} times the steps of seq."


def _frontier(panel: Axes, metrics: pd.DataFrame, summary: pd.DataFrame, chosen: list[str], told: set[str]) -> None:
    """`told`: the arms whose lines are to be followed; twenty strong lines could not be."""
    seeds = metrics["seed"].nunique()
    for arm in style.arm_order(summary["arm"]):
        look, rows = style.arm_look(arm), summary[summary["arm"] == arm]
        path = {**_CHOSEN_PATH, "marker": look.marker} if arm in told else _FAINT_PATH
        style.draw_path(panel, metrics[metrics["arm"] == arm], look.color, **path)
        task0, task1 = (style.mean_of(rows, name, ["arm"], seeds) for name in ("final", "task1_final"))
        if task0.empty or task1.empty:
            continue
        at = (task1["value"].iloc[0], task0["value"].iloc[0])
        if arm not in chosen:
            panel.plot(*at, color=look.color, marker=look.marker, **_FAINT)
            continue
        bars: dict[str, Any] = {"xerr": _beyond(task1), "yerr": _beyond(task0), "elinewidth": 0.5, "capsize": 0}
        panel.errorbar(*at, color=look.color, linestyle="none", **bars, zorder=3)  # below all marks, which stand in one column
        panel.plot(*at, color=look.color, marker=look.marker, markersize=6, markeredgecolor="white", markeredgewidth=0.5, zorder=4)
    style.accuracy_axis(panel, "Task 0 exact match\n(share of answers, held-out persons)")
    style.opened_axis(panel, "Task 1 exact match (share of answers)")


def _kept(
    panel: Axes, summary: pd.DataFrame, recovered: pd.DataFrame, chosen: list[str], matched_accuracy: float, beyond: set[str]
) -> None:
    """One row a chosen arm: Task 0 where Task 1 is learned (filled), and after one recovery epoch from there (open); both at the end for
    an arm that did not learn Task 1 in every seed. Arms in `beyond` are marked."""
    seeds = summary["seed"].nunique()
    labels = []
    for place, arm in enumerate(chosen):
        look, rows = style.arm_look(arm), summary[summary["arm"] == arm]
        learned = rows["learned"].all()
        labels.append(look.label + ("" if learned else " †") + (" ‡" if arm in beyond else ""))
        column = "matched" if learned else "final"
        kept = style.mean_of(rows, column, ["arm"], seeds)
        for _, of_seed in style.single_seeds(rows):
            style.seed_dots(panel, of_seed[column], [place - 0.28], look)
        again = over_seeds(recovered[recovered["arm"] == arm], ["arm"], seeds, kind=PROPORTION)
        both = pd.concat([kept, again])["value"]
        panel.plot(both, [place] * len(both), color=look.color, linewidth=3, alpha=0.25, solid_capstyle="butt")
        for point, face in ((kept, look.color), (again, "white")):
            _mark(panel, point, place, look, face)
        others = summary[(summary["family"] == rows["family"].iloc[0]) & ~summary["arm"].isin(chosen)]
        for other, found in others.groupby("arm"):
            at = style.mean_of(found, "matched", ["arm"], seeds)["value"]
            faint = style.arm_look(str(other))
            if len(at):  # an empty line that is not clipped would reach to the corner of the figure
                panel.plot(at, [place + 0.32], color=faint.color, marker=faint.marker, **_FAINT)
    style.name_arms(panel, chosen, labels)
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("Task 0 exact match")
    style.title(panel, "b", f"at Task 1 of {100 * matched_accuracy:g} %")


def _mark(panel: Axes, point: pd.DataFrame, place: float, look: style.Look, face: str) -> None:
    if len(point):
        options: dict[str, Any] = {"xerr": _beyond(point), "elinewidth": 1.0, "capsize": 2, "markerfacecolor": face}
        panel.errorbar(point["value"], [place], color=look.color, marker=look.marker, markersize=5, linestyle="none", zorder=3, **options)


def _beyond(point: pd.DataFrame) -> np.ndarray:
    """How far the interval reaches below and above the value, (2, points); 0 where none is known."""
    ends = np.abs(point[["low", "high"]].to_numpy(dtype=float) - point["value"].to_numpy(dtype=float)[:, None])
    return np.nan_to_num(ends.T)


def _levels(panel: Axes, summary: pd.DataFrame, recovery: pd.DataFrame) -> None:
    """Vertical lines: Task 0 before Task 1, and the pretrained model after one recovery epoch."""
    panel.axvline(summary.loc[summary["arm"] == "seq", "before"].mean(), **_BEFORE, zorder=1)
    pretrained = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])
    if len(pretrained):
        panel.axvline(pretrained["value"].mean(), **_PRETRAINED, zorder=1)


def _control_accuracy(metrics: pd.DataFrame) -> float:
    """Exact match on control persons at the end of the `seq` runs."""
    return float(np.mean([curve(run, "control")["value"].iloc[-1] for _, run in metrics[metrics["arm"] == "seq"].groupby("seed")]))


def _legend(figure: Figure) -> None:
    handles = [
        style.line_handle("another arm of its grid", marker="o", markersize=_FAINT["markersize"], alpha=_FAINT["alpha"], linewidth=0.6),
        style.line_handle("b: where Task 1 is learned", marker="o", linestyle="none"),
        style.line_handle("b: after one recovery epoch", marker="o", markerfacecolor="white", linestyle="none"),
        style.line_handle("b: seq before Task 1", **_BEFORE),
        style.line_handle("b: pretrained only, one epoch", **_PRETRAINED),
        style.FLOOR_HANDLE,
        style.CONTROL_HANDLE,
    ]
    style.legend(figure, handles, columns=3)
