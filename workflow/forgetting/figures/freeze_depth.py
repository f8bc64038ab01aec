"""How many frozen layers keep how much of Task 0?

**What it shows.** What it buys to keep the bottom of the model fixed during Task 1: nothing (``seq``), the
input embedding, or the embedding and the n bottom layers, each exactly.

**How to read it.** *a*: Task 0 at the lowest point of the first 150 steps, at early stop (the step that
learned Task 1), at the end, and after one recovery epoch for the arms that were probed. *b*: Task 1 for the
same runs; the grey line is the accuracy that counts as learned. A missing point with early stop is an arm
that did not learn Task 1 (in every seed, if there are several). Open marks: the reference's own rule at the
same n, which picks layers by their names and so freezes more of them; they are drawn to the right of the
exact ones. Purple, where they were run: the same arms without Task 0, at early stop and one epoch later.
Arms may differ in length, as the small print says.

**What to look for.** How much slower the early collapse is with more frozen layers, whether that is still
there where Task 1 is learned, and from which depth on the rest of the model can no longer learn Task 1.

**What would contradict the claim.** Marks at early stop, or after recovery from there, no higher than the purple
ones of the same number of layers: then nothing of Task 0 is kept. A gain at the trough that is gone at early stop
and at the end, in accuracy *and* after recovery: then freezing only delays the forgetting. A gain that comes with a
fall in *b* is no gain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.comparison import after_one_epoch
from forgetting.analysis.curves import method_summary
from forgetting.analysis.spurious import probe_points
from forgetting.data.points import END, MATCHED, NO_TASK0, TROUGH, WORDS, never_had_task0
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 3,
    "only_if": "compared:freeze",
    "inputs": {
        "metrics": ["compared:seq,freeze", "compared_floors"],
        "recovery": ["compared:seq,freeze", "compared_floors"],
        "floors": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_TROUGH = style.Look("#B87A00", "v", WORDS[TROUGH])
_STOPPED = style.Look("#009E73", "D", "with early stop")
_END = style.Look("#00402F", "s", "end of the run")
_RECOVERED = {
    MATCHED: style.Look("#0072B2", "P", "early stop, then one recovery epoch", ":"),
    END: style.Look("#1D98DD", "X", "end, then one recovery epoch", ":"),
}
_SHIFTS = {"trough": -0.12, "stopped": -0.06, "end": 0.0, "matched, recovered": 0.06, "end, recovered": 0.12}
_RELEASED_SHIFT = 0.4
"""Marks are moved sideways, so that they do not hide each other; those of the as-released arms stand to the right of the exact ones."""
_FLOOR_SHIFT = 0.2
_LEARNED: dict[str, Any] = {"color": "#767676", "linewidth": 0.9, "linestyle": (0, (1, 1)), "zorder": 0}
_TICKS = 8
_OPENED = 0.95
"""Where the axis of Task 1 begins if all arms have learned that much."""


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs (seq, freeze and freeze-as-released arms are used, and these without Task 0), RECOVERY, METRICS
    floors."""
    depth = {arm: place for arm in style.arm_order(metrics["arm"]) if (place := _depth(arm)) is not None}
    released = {arm for arm in depth if style.arm_family(arm) == "freeze-as-released"}
    rows = metrics[metrics["arm"].isin(list(depth))]
    summary = method_summary(rows, matched_accuracy)
    summary = summary.assign(depth=summary["arm"].map(depth), released=summary["arm"].isin(list(released)))
    seeds = metrics["seed"].nunique()
    figure, axes = style.new_figure(1, 2, height=4.0, width_ratios=[1.2, 1], sharex=True)
    first, second = axes[0]
    for of_rule in (False, True):
        chosen = summary[summary["released"] == of_rule]
        full, stopped = chosen[~chosen["early_stop"]], chosen[chosen["early_stop"]]
        shown = [(first, full, "trough", _TROUGH, "trough"), (first, stopped, "final", _STOPPED, "stopped")]
        shown += [(first, full, "final", _END, "end"), (second, stopped, "task1_final", _STOPPED, "stopped")]
        shown += [(second, full, "task1_final", _END, "end")]
        for panel, part, column, look, name in shown:
            _series(panel, style.mean_of(part, column, ["depth"], seeds), look, _SHIFTS[name], of_rule)
        if len(chosen):
            _recovered(first, rows[rows["arm"].isin(list(released)) == of_rule], recovery, depth, of_rule)
    floor_arms = [arm for arm in style.arm_order(metrics["arm"]) if never_had_task0(arm) and _depth(arm.removesuffix(NO_TASK0)) is not None]
    for arm in floor_arms:
        _without_task0(first, metrics[metrics["arm"] == arm], recovery, matched_accuracy, seeds)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    _finish(first, second, sorted(set(depth.values())), matched_accuracy)
    looks = [_TROUGH, _STOPPED, _END, *_RECOVERED.values()]
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle=look.line) for look in looks]
    if released:
        handles.append(style.line_handle("open: as released", marker="s", markerfacecolor="white", linestyle="none"))
    if floor_arms:
        handles.append(
            style.line_handle("the same, never had Task 0 (a)", style.arm_look(floor_arms[0]).color, marker="D", linestyle="none")
        )
    learned = style.line_handle("counts as learned (b)", **_LEARNED)
    style.legend(figure, [*handles, style.FLOOR_HANDLE, learned], columns=3)
    style.note(figure, metrics, _remarks(summary, seeds))
    return figure


def _depth(arm: str) -> int | None:
    """Place on the axis: -1 for `seq`, which freezes nothing; None for an arm that is not drawn."""
    found = -1 if arm == "seq" else style.arm_knob(arm, "freeze")
    found = style.arm_knob(arm, "freeze-as-released") if found is None else found
    return None if found is None else int(found)


def _remarks(summary: pd.DataFrame, seeds: int) -> str:
    """What the small print says beside the intervals."""
    text = f"No point with early stop where Task 1 was {style.unlearned(seeds)}."
    steps = summary.loc[~summary["early_stop"], "steps"]
    return text if steps.nunique() < 2 else f"{text} The runs differ in length: {steps.min():,.0f} to {steps.max():,.0f} steps."


def _series(panel: Axes, points: pd.DataFrame, look: style.Look, shift: float, released: bool, **line: Any) -> None:
    """Points of `value` with bars at their `depth`, moved sideways: open and by themselves for the as-released rule, else joined."""
    kind: dict[str, Any] = {"markerfacecolor": "white"} if released else {"linestyle": "-", "linewidth": 0.9} | line
    place = points["depth"] + shift + (_RELEASED_SHIFT if released else 0)
    style.error_bars(panel, points.assign(place=place), "place", look, **kind)


def _recovered(panel: Axes, metrics: pd.DataFrame, recovery: pd.DataFrame, depth: dict[str, int], released: bool) -> None:
    points = probe_points(metrics, recovery[recovery["arm"].isin(metrics["arm"].unique())])
    rows = after_one_epoch(points, recovery).assign(depth=lambda frame: frame["arm"].map(depth))
    for point, look in _RECOVERED.items():
        chosen = rows[(rows["point"] == point) & (rows["learned"] | (point == "end"))]
        merged = over_seeds(chosen, ["depth"], metrics["seed"].nunique(), kind=PROPORTION)
        _series(panel, merged, look, _SHIFTS[f"{point}, recovered"], released, linestyle=":")


def _without_task0(panel: Axes, run: pd.DataFrame, recovery: pd.DataFrame, matched_accuracy: float, seeds: int) -> None:
    """What an arm that never had Task 0 answers at early stop, and after one epoch from there: the marks of both in its colour."""
    arm = str(run["arm"].iloc[0])
    depth, color = _depth(arm.removesuffix(NO_TASK0)), style.arm_look(arm).color
    summary = method_summary(run, matched_accuracy)
    stopped = style.mean_of(summary[summary["early_stop"]], "final", ["arm"], seeds)
    points = probe_points(run, recovery[recovery["arm"] == arm])
    rows = after_one_epoch(points, recovery)
    recovered = over_seeds(rows[(rows["point"] == MATCHED) & rows["learned"]], ["arm"], seeds, kind=PROPORTION)
    for found, look, name in ((stopped, _STOPPED, "stopped"), (recovered, _RECOVERED[MATCHED], "matched, recovered")):
        _series(panel, found.assign(depth=depth), look._replace(color=color), _SHIFTS[name] + _FLOOR_SHIFT, False, linestyle="none")


def _finish(first: Axes, second: Axes, depths: list[int], matched_accuracy: float) -> None:
    style.accuracy_axis(first, "Task 0 exact match\n(share of answers, held-out persons)")
    style.accuracy_axis(second, "Task 1 exact match\n(share of answers)")
    if second.dataLim.ymin > _OPENED:  # else it all lies at the upper edge
        second.set_ylim(_OPENED, 1.005)
        second.set_yticks(np.linspace(_OPENED, 1, 6))
    second.axhline(matched_accuracy, **_LEARNED)
    style.title(first, "a", "Task 0")
    style.title(second, "b", "Task 1")
    labels = {-1: "none", 0: "emb."}
    for panel in (first, second):
        shown = depths if len(depths) <= _TICKS else [-1, *depths[2::2]]
        panel.set_xticks(shown, [labels.get(depth, f"+{depth}") for depth in shown])
        panel.set_xlabel("frozen bottom layers")
