"""The pictures of a diagnosis: how the old task returns, and what each repair costs of the new one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.figures.style import Look
from forgetting.intervals import Interval

WIDTH = 5.5
STARTS = {
    "before": Look("#3B6FA0", "s", "before"),
    "after": Look("#C4501B", "o", "after"),
    "base": Look("#1A1A1A", "P", "base"),
    "random": Look("#808080", "X", "random weights"),
}
KINDS = {
    "recovery": Look("#C4501B", "o", "recovery, all questions"),
    "dose": Look("#9A6A00", "v", "recovery, some units"),
    "edit": Look("#7B3F9E", "D", "update edit"),
    "interpolation": Look("#3B6FA0", "s", "interpolation"),
    "common_shift": Look("#0D8B63", "P", "common shift"),
}


def draw_recovery(curves: pd.DataFrame, floor: Interval) -> Figure:
    """The old task on units that are not trained on, against the steps of recovery. `curves`: start, step, value, low, high."""
    figure, axes = style.new_figure(1, 1, height=3.1, width=WIDTH)
    panel = axes[0, 0]
    starts = [start for start in STARTS if start in set(curves["start"])]
    for start in starts:
        look, rows = STARTS[start], curves[curves["start"] == start].sort_values("step")
        width = 1.9 if start == "after" else 1.2
        panel.plot(rows["step"], rows["value"], color=look.color, marker=look.marker, linewidth=width, markersize=4)
        panel.fill_between(rows["step"], rows["low"], rows["high"], color=look.color, alpha=0.14, linewidth=0)
    panel.axhline(floor.value, color=style.MODAL_ANSWER, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)), zorder=1)
    _steps_axis(panel, curves["step"].unique())
    style.accuracy_axis(panel, "old task, units not trained on")
    handles = [style.line_handle(STARTS[start].label, STARTS[start].color, marker=STARTS[start].marker) for start in starts]
    style.legend(figure, [*handles, style.FLOOR_HANDLE], columns=5)
    style.small_print(figure, "Bands: 95 % interval over units. At step 0 nothing is trained.")
    return figure


def _steps_axis(panel: Axes, steps: Sequence[int]) -> None:
    panel.set_xscale("symlog", linthresh=1, linscale=0.4)
    last = max(steps)
    ticks = [0, *(tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= last)]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.set_xlim(-0.1, last * 1.08)
    panel.set_xlabel("steps of recovery")


def draw_frontier(remedies: pd.DataFrame) -> Figure:
    """What each remedy brings back of the old task, against what it leaves of the new one. `remedies`: remedy, kind, old, new, best."""
    figure, axes = style.new_figure(1, 1, height=3.1, width=WIDTH)
    panel = axes[0, 0]
    kinds = [kind for kind in KINDS if kind in set(remedies["kind"])]
    for kind in kinds:
        rows = remedies[remedies["kind"] == kind].sort_values("amount")
        line = "-" if kind in ("interpolation", "dose") else "none"
        panel.plot(
            rows["new"], rows["old"], color=KINDS[kind].color, marker=KINDS[kind].marker, linestyle=line, linewidth=0.8, markersize=5
        )
    for name, marker in (("before", "<"), ("after", ">")):
        row = remedies[remedies["kind"] == name].iloc[0]
        panel.plot(row["new"], row["old"], color="#1A1A1A", marker=marker, markersize=7, linestyle="none", clip_on=False)
    for row in remedies[remedies["best"]].itertuples():
        panel.plot(row.new, row.old, marker="o", markersize=12, markerfacecolor="none", markeredgecolor="#1A1A1A", linestyle="none")
    style.accuracy_axis(panel, "old task, units not trained on")
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("new task")
    handles = [style.line_handle(KINDS[kind].label, KINDS[kind].color, marker=KINDS[kind].marker, linestyle="none") for kind in kinds]
    ends = [style.line_handle(name, "#1A1A1A", marker=marker, linestyle="none") for name, marker in (("before", "<"), ("after", ">"))]
    style.legend(figure, [*ends, *handles], columns=3)
    ringed = " Ringed: the highest sum of both." if remedies["best"].any() else ""
    style.small_print(figure, f"Up and to the right is better.{ringed}")
    return figure
