"""What freezing the bottom layers buys: Task 0 and Task 1 against the number of frozen layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import over_seeds
from forgetting.views.performance import method_summary
from forgetting.views.spurious import probe_points, task0_rows

_TROUGH = style.Look("#7FD9B8", "v", "lowest in the first 150 steps")
_STOPPED = style.Look("#009E73", "D", "with early stop")
_END = style.Look("#00402F", "s", "end of the run")
_RECOVERED = {
    "matched": style.Look("#0072B2", "P", "early stop, then one recovery epoch"),
    "end": style.Look("#56B4E9", "X", "end, then one recovery epoch"),
}
_TICKS = 8


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs (seq and freeze arms are used), RECOVERY, METRICS floors."""
    depth = {arm: place for arm in style.arm_order(metrics["arm"]) if (place := _depth(arm)) is not None}
    rows = metrics[metrics["arm"].isin(list(depth))]
    summary = method_summary(rows, matched_accuracy)
    summary["depth"] = summary["arm"].map(depth)
    full, stopped = summary[~summary["early_stop"]], summary[summary["early_stop"]]
    seeds = metrics["seed"].nunique()
    figure, axes = style.new_figure(1, 2, height=3.8, width_ratios=[1.4, 1], sharex=True)
    first, second = axes[0]
    _series(first, full, "trough", _TROUGH, -0.09, seeds)
    _series(first, stopped, "final", _STOPPED, 0.0, seeds)
    _series(first, full, "final", _END, 0.09, seeds)
    _recovered(first, rows, recovery, depth)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    _series(second, stopped, "task1_final", _STOPPED, 0.0, seeds)
    _series(second, full, "task1_final", _END, 0.09, seeds)
    _finish(first, second, sorted(depth.values()), matched_accuracy)
    looks = [_TROUGH, _STOPPED, _END, *_RECOVERED.values()]
    handles = [style.line_handle(look.label, look.color, marker=look.marker) for look in looks]
    style.legend(figure, [*handles, style.FLOOR_HANDLE], columns=3)
    style.note(
        figure,
        metrics,
        f"+n: the embedding and the n bottom layers are frozen. No point with early stop where Task 1 was {style.unlearned(seeds)}; "
        "recovery is drawn for the arms that were probed.",
    )
    return figure


def _depth(arm: str) -> int | None:
    """Place on the axis: -1 for `seq`, which freezes nothing; None for an arm that is not drawn."""
    return -1 if arm == "seq" else style.freeze_depth(arm)


def _series(panel: Axes, summary: pd.DataFrame, column: str, look: style.Look, shift: float, seeds: int) -> None:
    """Points with bars, moved sideways a little so that they do not hide each other."""
    named = {column: "value", f"{column}_low": "low", f"{column}_high": "high"}
    points = over_seeds(summary[["seed", "depth", *named]].rename(columns=named).dropna(subset="value"), ["depth"], seeds)
    points = points.assign(place=points["depth"] + shift)
    panel.plot(points["place"], points["value"], color=look.color, linewidth=0.9)
    style.error_bars(panel, points, "place", look)


def _recovered(panel: Axes, metrics: pd.DataFrame, recovery: pd.DataFrame, depth: dict[str, int]) -> None:
    points = probe_points(metrics, recovery[recovery["arm"].isin(list(depth))])
    rows = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    rows = points.merge(rows, on=["seed", "arm", "checkpoint"]).assign(depth=lambda frame: frame["arm"].map(depth))
    for point, look in _RECOVERED.items():
        chosen = rows[(rows["point"] == point) & (rows["learned"] | (point == "end"))]
        merged = over_seeds(chosen, ["depth"], metrics["seed"].nunique()).assign(place=lambda frame: frame["depth"] + 0.18)
        style.error_bars(panel, merged, "place", look, linestyle=":", linewidth=0.9)


def _finish(first: Axes, second: Axes, depths: list[int], matched_accuracy: float) -> None:
    style.accuracy_axis(first, "Task 0 exact match\n(share of answers, held-out persons)")
    style.accuracy_axis(second, "Task 1 exact match (share of answers)")
    second.axhline(matched_accuracy, color="#BBBBBB", linewidth=0.8, zorder=0)
    style.title(first, "a", "Task 0")
    style.title(second, "b", "Task 1")
    labels = {-1: "nothing\n(seq)", 0: "embed-\nding"}
    for panel in (first, second):
        shown = depths if len(depths) <= _TICKS else [-1, *depths[2::2]]
        panel.set_xticks(shown, [labels.get(depth, f"+{depth}") for depth in shown])
        panel.set_xlabel("frozen bottom layers")
