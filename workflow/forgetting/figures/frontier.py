"""Which method keeps more of Task 0 at the same accuracy on Task 1?

**What it shows.** All Task 1 methods on one plane: how much of Task 0 is left against how much of Task 1 is
learned.

**How to read it.** *a*: every line is a run over time. It starts at the upper left (Task 0 known, Task 1 not; that
of the model without Task 0, where there is one, at the lower left) and ends at its large marker. The upper right
corner would be a method that learns without forgetting. Small marks only tell the lines apart. The horizontal axis
is of square roots, which opens the first steps. *b*: Task 0 at the same Task 1 accuracy for all, interpolated
between evaluations, on an axis that ends where the arms do; *not reached* means that the method never learned Task
1 that well.

**What to look for.** Lines that run above that of ``seq`` all the way, and ends far above the floor. Compare
methods in *b* only: a method that does not learn does not forget.

**What would contradict a method's merit.** A high end at a low Task 1 accuracy; an advantage in the first steps
that is gone where Task 1 is learned; a gain over ``seq`` that is not surely above zero. The tables of the
comparison (target ``methods``) have that gain seed by seed (*minus seq*); two intervals of *b* that overlap do
not say that an arm is no better.
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
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["all"],
        "floors": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs, METRICS floors. `matched_accuracy`: Task 1 accuracy at which the arms are compared."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if not style.is_rate_arm(arm)]
    summary = method_summary(metrics[metrics["arm"].isin(arms)], matched_accuracy)
    summary = summary[~summary["early_stop"]]
    figure, axes = style.new_figure(1, 2, height=3.2 + 0.2 * max(0, len(arms) - 4), width_ratios=[1.3, 1])
    first, second = axes[0]
    for arm in arms:
        look = style.arm_look(arm)
        along: dict[str, Any] = {"marker": look.marker, "markersize": 3, "markerfacecolor": look.face, "markevery": style.ALONG}
        style.draw_path(first, metrics[metrics["arm"] == arm], look.color, linestyle=look.line, **along)
        _end(first, summary[summary["arm"] == arm], look)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    style.accuracy_axis(first, "Task 0 exact match\n(share of answers)")
    style.opened_axis(first, "Task 1 exact match (share of answers)")
    style.title(first, "a", "from before Task 1 to its end")
    _matched(second, summary, arms, matched_accuracy)
    style.draw_floor(second, floors, "task0_test", "exact_match", across=False)
    end = style.line_handle("end of the run (arms as in b)", marker="o", linestyle="none")
    style.legend(figure, [end, style.FLOOR_HANDLE], columns=2)
    style.note(figure, metrics, "Panel b interpolates between evaluations.", intervals="bars (b)")
    return figure


def _end(panel: Axes, summary: pd.DataFrame, look: style.Look) -> None:
    seeds = summary["seed"].nunique()
    task0, task1 = (style.mean_of(summary, column, ["arm"], seeds)["value"] for column in ("final", "task1_final"))
    mark: dict[str, Any] = {"marker": look.marker, "markerfacecolor": look.face, "markersize": 6, "linestyle": "none"}
    panel.plot(task1, task0, color=look.color, clip_on=False, zorder=5, **mark)


def _matched(panel: Axes, summary: pd.DataFrame, arms: list[str], matched_accuracy: float) -> None:
    """Task 0 at matched Task 1 accuracy, one row an arm."""
    missing = "not reached" if summary["seed"].nunique() == 1 else "not reached in every seed"
    for place, arm in enumerate(arms):
        rows, look = summary[summary["arm"] == arm], style.arm_look(arm)
        means = style.mean_of(rows, "matched", ["arm"], rows["seed"].nunique())
        for _, of_seed in style.single_seeds(rows):
            style.seed_dots(panel, of_seed["matched"], [place + 0.25], look)
        if means.empty:
            panel.text(0.06, place, missing, fontsize=7, va="center", color="#666666")
            continue
        point = means[["value", "low", "high"]].to_numpy(dtype=float)[0]
        panel.hlines(place, point[1], point[2], color=look.color, linewidth=1.1)
        panel.plot(point[0], place, marker=look.marker, color=look.color, markerfacecolor=look.face, linestyle="none")
    style.name_arms(panel, arms)
    panel.set_xlim(0, max(0.3, 1.2 * summary["matched"].max()))
    panel.locator_params(axis="x", nbins=4)
    panel.set_xlabel("Task 0 exact match")
    style.title(panel, "b", f"at Task 1 of {100 * matched_accuracy:g} %")
