"""Does one epoch of recovery bring Task 0 back, and further than its controls?

**What it shows.** The recovery probe with its controls. From a checkpoint of Task 1 the model trains again on
the Task 0 questions of half of the persons, and is asked about the other half.

**How to read it.** *a*: accuracy after one epoch from every checkpoint, and without it (dashed, small marks). *b*: of
``seq``, step by step, from the trough (the lowest point of the first 150 steps, on validation persons) and from
the end of Task 1. *c*: (recovered - dropped) / (before - dropped), the *spurious share* of the tables; 1: all of the
loss came back. Purple: the same Task 1 from the model that never had Task 0; in *c*, below the mark, the share that the
arm would have if recovery came only to where that model comes. An arm that does not run without Task 0 has none: that
of ``seq`` would be no control of freezing, which also keeps what pretraining knew. Other arms recover at fewer
points and stand in ``recovery_table``.

The controls say how much of a recovery is no memory of Task 0. *Pretrained only* knows the biographies but
never saw a question: what it reaches in one epoch is the question format, learned from scratch. *Random
weights* know nothing. *Shuffled answers* trains on wrong answers. *Control persons* were never read about.

**What to look for.** Solid lines near the accuracy before Task 1, above the purple ones of the same Task 1 or
reached in fewer steps. A share no higher than the purple one is not shown to be spurious loss.

**What would contradict the claim.** A recovery no higher and no faster than that of the model that never had
Task 0: then the format was learned anew and nothing of Task 0 had to survive. Random weights, shuffled
answers or control persons well above the floor: then the probe itself teaches the answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import probe_points, recovery_summary, task0_rows
from forgetting.data.points import END, MATCHED, NO_TASK0, TROUGH, floor_of, never_had_task0
from forgetting.figures import style
from forgetting.statistics import PROPORTION, UNBOUNDED, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["curve"],
        "recovery": ["curve", "controls"],
        "recovery_facts": ["curve", "controls"],
    },
}

_MARKERS = {TROUGH: "v", MATCHED: "D", END: "s"}
_WITHOUT: dict[str, Any] = {"linestyle": "--", "linewidth": 0.9}


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame) -> Figure:
    """Frames: METRICS of the task1 runs, RECOVERY and RECOVERY_FACTS (the controls among them)."""
    points = probe_points(metrics, recovery)
    arms = [arm for arm in style.arm_order(points["arm"]) if not style.is_rate_arm(arm)]
    rows = [2.7, 0.3 + 0.5 * len(arms)]
    figure, axes = style.new_figure(2, 2, height=1.9 + sum(rows), height_ratios=rows)
    first, second, third = axes[0, 0], axes[0, 1], axes[1, 0]
    third.set_subplotspec(axes[1, 1].get_gridspec()[1, :])
    axes[1, 1].remove()
    _over_checkpoints(first, recovery, points, arms)
    _over_steps(second, recovery, points)
    summary = recovery_summary(recovery_facts, points[points["arm"].isin(arms)])
    followed = [arm for arm in arms if not never_had_task0(arm)]
    with_floor = [arm for arm in followed if f"{arm}{NO_TASK0}" in set(recovery_facts["arm"])]
    _shares(third, summary, followed, with_floor)
    second.sharey(first)
    lines = [style.line_handle("after one epoch"), style.line_handle("without recovery", **_WITHOUT)]
    places = [
        style.line_handle(f"from the {text}", marker=_MARKERS[point], markerfacecolor=_fill(point, "#444444"), linestyle="none")
        for point, text in ((TROUGH, "trough"), (MATCHED, "step that learned Task 1"), (END, "end"))
    ]
    names = {
        "control": "control persons (a)",
        "pretrained": "pretrained only",
        "shuffled": "shuffled answers",
        "random": "random weights (b)",
    }
    controls = [style.line_handle(text, **_control_line(name)) for name, text in names.items()]
    style.legend(figure, [*style.arm_handles(arms), *lines, *places, *controls], columns=3)
    shuffled = "Shuffled answers: of seq, in a from the trough and the end, in b from the end."
    alone = ", ".join(style.arm_look(arm).label.replace(" ", "\N{NO-BREAK SPACE}") for arm in followed if arm not in with_floor)
    style.note(figure, metrics, f"{shuffled} Not run without Task 0, so without floor in c: {alone}." if alone else shuffled)
    return figure


def _over_checkpoints(panel: Axes, recovery: pd.DataFrame, points: pd.DataFrame, arms: list[str]) -> None:
    rows = task0_rows(recovery)
    recovered, dropped = rows[np.isclose(rows["epochs"], 1)], rows[rows["epochs"] == 0]
    for arm in arms:
        for stage, line in ((dropped, {**_WITHOUT, "markersize": 2.5, "band": False}), (recovered, {})):
            run = stage[(stage["arm"] == arm) & (stage["start"] == "task1")]
            style.draw_curve(panel, run, "checkpoint", style.arm_look(arm), markers=12, **line)
    level = over_seeds(recovered[recovered["start"] == "pretrained"], ["start"], kind=PROPORTION).iloc[0]
    panel.axhline(level["value"], **(_control_line("pretrained") | {"marker": ""}))
    panel.axhspan(level["low"], level["high"], color=_control_line("pretrained")["color"], alpha=0.08, linewidth=0)
    shuffled = task0_rows(recovery, training="shuffled")
    shuffled = shuffled[np.isclose(shuffled["epochs"], 1) & (shuffled["arm"] == "seq")]
    shuffled = shuffled.merge(points.loc[points["point"].isin([TROUGH, END]), ["seed", "arm", "checkpoint", "point"]])
    places = shuffled.groupby("point")["checkpoint"].mean()  # seeds have their troughs at different steps
    shuffled = over_seeds(shuffled, ["point"], kind=PROPORTION)
    style.error_bars(panel, shuffled.assign(place=shuffled["point"].map(places)), "place", style.CONTROLS["shuffled"])
    control = task0_rows(recovery, "control")
    control = control[np.isclose(control["epochs"], 1) & (control["arm"] == "seq") & (control["start"] == "task1")]
    style.draw_curve(panel, control, "checkpoint", style.CONTROLS["control"], band=False, linestyle=":", linewidth=1.0)
    panel.set_xscale("symlog", linthresh=10, linscale=0.5)
    style.plain_numbers(panel.xaxis)
    panel.set_xlim(-1, None)
    panel.set_xlabel("Task 1 step (log scale after 10)")
    style.accuracy_axis(panel, "Task 0 exact match\n(share of answers, held-out persons)")
    style.title(panel, "a", "after one epoch")


def _over_steps(panel: Axes, recovery: pd.DataFrame, points: pd.DataFrame) -> None:
    """From trough and end of `seq`, and from the same steps of the arm that never had Task 0, where there is one."""
    rows, wrong = task0_rows(recovery), task0_rows(recovery, training="shuffled")
    seq = points[points["arm"] == "seq"]
    floor = rows[rows["arm"] == floor_of("seq", set(rows["arm"]))]
    keys = ["seed", "checkpoint"]
    for point in (TROUGH, END):
        here = seq.loc[seq["point"] == point, keys]
        chosen, shuffled, without_task0 = (frame.merge(here, on=keys) for frame in (rows[rows["arm"] == "seq"], wrong, floor))
        shuffled = shuffled[shuffled["arm"] == "seq"]
        look = style.Look(style.SEQUENTIAL, _MARKERS[point], f"seq, {point}")
        fill = _fill(point, style.SEQUENTIAL)
        style.draw_curve(panel, chosen, "step", look, markers=5, markerfacecolor=fill, seeds=False)
        if len(without_task0):
            look = style.arm_look(str(without_task0["arm"].iloc[0]))._replace(marker=_MARKERS[point])
            fill = _fill(point, look.color)
            style.draw_curve(panel, without_task0, "step", look, markers=5, linestyle=":", markerfacecolor=fill, seeds=False)
        if point == END and len(shuffled):
            style.draw_curve(panel, shuffled, "step", style.CONTROLS["shuffled"], markers=5, band=False, **_line_only("shuffled"))
    for start in ("pretrained", "random"):
        style.draw_curve(panel, rows[rows["start"] == start], "step", style.CONTROLS[start], markers=5, band=False, **_line_only(start))
    panel.axvline(rows.loc[np.isclose(rows["epochs"], 1), "step"].min(), color="#BBBBBB", linewidth=0.8, zorder=0)
    panel.set_xscale("symlog", linthresh=1, linscale=0.3)
    style.plain_numbers(panel.xaxis)
    panel.set_xlim(0, None)
    panel.set_xlabel("recovery step (log scale after 1;\nline: one epoch)")
    panel.tick_params(labelleft=False)
    style.title(panel, "b", "step by step")


def _shares(panel: Axes, summary: pd.DataFrame, arms: list[str], with_floor: list[str]) -> None:
    """One row an arm, and below each mark that of the same arm without Task 0 for those of `with_floor`; the trough is an open marker.

    No early stop is drawn for an arm that did not learn Task 1 in every seed.
    """
    rows = summary.rename(columns={"spurious_share": "value", "spurious_share_low": "low", "spurious_share_high": "high"})
    learned = rows["learned"].astype(bool).groupby([rows["arm"], rows["point"]]).transform("all")
    rows = rows[learned | (rows["point"] != MATCHED)]
    for place, arm in enumerate(arms):
        for offset, (point, marker) in enumerate(_MARKERS.items()):
            cell = over_seeds(rows[(rows["arm"] == arm) & (rows["point"] == point)], ["arm"], kind=UNBOUNDED)
            look, y = style.arm_look(arm), place + 0.27 * (offset - 1) - 0.06
            if cell.empty or np.isnan(cell["value"].iloc[0]):
                text = f"Task 1 {style.unlearned(summary['seed'].nunique())}" if cell.empty else f"{point}: undefined (no drop)"
                panel.text(0.02, y, text, transform=panel.get_yaxis_transform(), fontsize=7, va="center", color="#666666")
                continue
            value, low, high = cell[["value", "low", "high"]].to_numpy(dtype=float)[0]
            panel.hlines(y, low, high, color=look.color, linewidth=1.1)
            floor = style.mean_of(rows[(rows["arm"] == arm) & (rows["point"] == point)], "floor_share", ["arm"], summary["seed"].nunique())
            if arm in with_floor and len(floor):
                without, below = style.arm_look(f"{arm}{NO_TASK0}"), y + 0.12
                panel.hlines(below, floor["low"], floor["high"], color=without.color, linewidth=1.1)
                panel.plot(floor["value"], [below], marker=without.marker, color=without.color, markerfacecolor="white", linestyle="none")
            panel.plot(value, y, marker=marker, color=look.color, markerfacecolor=_fill(point, look.color), linestyle="none")
    style.name_arms(panel, arms)
    panel.grid(axis="y", visible=False)
    panel.set_xlim(right=max(1.03, panel.get_xlim()[1]))
    panel.axvline(1, color="#BBBBBB", linewidth=0.8, zorder=0)
    panel.set_xlabel("share of the drop")
    style.title(panel, "c", "recovered share of the drop")


def _fill(point: str, color: str) -> str:
    return "white" if point == TROUGH else color


def _control_line(name: str) -> dict[str, Any]:
    look = style.CONTROLS[name]
    dash = {"pretrained": (0, (4, 1.5)), "random": (0, (1, 1)), "shuffled": (0, (3, 1, 1, 1)), "control": ":"}[name]
    return {"color": look.color, "marker": "" if name == "control" else look.marker, "linestyle": dash, "linewidth": 1.0}


def _line_only(name: str) -> dict[str, Any]:
    return {key: value for key, value in _control_line(name).items() if key in ("linestyle", "linewidth")}
