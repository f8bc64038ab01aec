"""Is Task 0 lost before Task 1 is learned, and can it be brought back?

**What it shows.** The share of questions answered right while Task 1 is learned: exact match above (every token
of the answer is right), the first token alone below. Left: the first 150 steps. Right: the whole run.

**How to read it.** Solid lines are Task 0, asked about persons whose biographies were pretrained but whose
questions were never trained on. Dashed lines are Task 1. Open circles are separate trainings: from that
checkpoint of ``seq``, one epoch on the Task 0 questions of *other* persons. Dotted purple: the same
Task 1 from the model that never had Task 0, which is what Task 1 itself teaches. Grey: always giving the most
frequent answer, and persons the model never read about (dotted). Arms that learn Task 1 more slowly run longer. A
first token is guessed more easily than an answer, so its floor is higher; a curve that falls to its floor has
lost everything that can be seen this way.

**What to look for.** An early fall of the solid line while the dashed one has hardly risen: Task 0 is lost
before Task 1 is learned. Open circles that stay high above the fallen curve: the knowledge is still there. That
Task 0 is, too, they do not show: for that they must be above the same recovery of the model that never had Task
0, which stands beside them in the recovery figure.

**What would contradict the claim.** A fall only as fast as Task 1 is learned; open circles that fall with the
solid line; control persons above their floor, which would mean that something leaks. Recovery no higher and no
faster than from the model that never had Task 0 leaves the claim without evidence that Task 0 survived.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from forgetting.data.points import EARLY_STEP, never_had_task0
from forgetting.figures import style

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["main", "without_task0"],
        "recovery": ["seq"],
        "floors": [],
    },
}

_RECOVERED: dict[str, Any] = {"linestyle": "-.", "markerfacecolor": "white"}
_NO_TASK0: dict[str, Any] = {"linestyle": ":", "linewidth": 1.4}
_ROWS = {"exact_match": "exact match", "first_token_hard": "first token right"}


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Rows: exact match, first token. Columns: the first 150 steps, the whole run. Frames: METRICS of task1, RECOVERY, METRICS floors."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if not style.is_rate_arm(arm) and not never_had_task0(arm)]
    without_task0 = [arm for arm in style.arm_order(metrics["arm"]) if never_had_task0(arm)]
    main = style.main_arms(arms)
    figure, axes = style.new_figure(2, 2, height=5.4, sharex="col", sharey=True, width_ratios=[1.15, 1])
    for row, (metric, label) in zip(axes, _ROWS.items(), strict=True):
        for panel, until in zip(row, (EARLY_STEP, np.inf), strict=True):
            rows = _window(metrics, metric, "step", until)
            _draw_arms(panel, rows, arms, main)
            probes = _window(recovery[_is_recovered(recovery)], metric, "checkpoint", until)
            style.draw_curve(panel, probes, "checkpoint", style.arm_look("seq"), markers=len(probes), band=False, **_RECOVERED)
            for arm in without_task0:
                run = rows[(rows["arm"] == arm) & (rows["split"] == "task0_test")]
                style.draw_curve(panel, run, "step", style.arm_look(arm), **_NO_TASK0)
            style.draw_floor(panel, floors, "task0_test", metric)
            control = rows[(rows["split"] == "control") & (rows["arm"] == "seq")]
            style.draw_curve(panel, control, "step", style.CONTROLS["control"], linestyle=":", linewidth=1.0, band=False)
        style.accuracy_axis(row[0], f"{label}\n(share of answers)")
    titles = [f"{until}{of_row}" for of_row in ("", ", first token") for until in (f"first {EARLY_STEP} steps", "whole run")]
    for letter, panel, text in zip("abcd", axes.flat, titles, strict=True):
        style.title(panel, letter, text)
    for panel in axes[1]:
        panel.set_xlabel("Task 1 step")
    axes[1, 0].set_xlim(-2, EARLY_STEP + 2)
    floors_drawn = [style.line_handle(look.label, look.color, **_NO_TASK0) for look in map(style.arm_look, without_task0)]
    style.legend(figure, [*_handles(arms, main), *floors_drawn], columns=4)
    pale = "" if len(main) == len(arms) else "Pale lines: the other arms, Task 0 only. "
    style.note(figure, metrics, f"{pale}Recovered: a separate training from each checkpoint of seq.")
    return figure


def _is_recovered(recovery: pd.DataFrame) -> pd.Series:
    return (
        (recovery["start"] == "task1")
        & (recovery["training"] == "right")
        & (recovery["arm"] == "seq")
        & np.isclose(recovery["epochs"], 1)
        & (recovery["split"] == "task0_test")
    )


def _window(rows: pd.DataFrame, metric: str, by: str, until: float) -> pd.DataFrame:
    return rows[(rows["metric"] == metric) & (rows["kind"] == "all") & (rows[by] <= until)]


def _draw_arms(panel: Axes, rows: pd.DataFrame, arms: list[str], main: list[str]) -> None:
    for arm in sorted(arms, key=main.__contains__):
        look, run = style.arm_look(arm), rows[rows["arm"] == arm]
        task0, task1 = (run[run["split"] == split] for split in ("task0_test", "task1"))
        if arm in main:
            style.draw_curve(panel, task0, "step", look, markers=7)
            style.draw_curve(panel, task1, "step", look, linestyle="--", linewidth=1.0)
        else:
            style.draw_curve(panel, task0, "step", look, band=False, linewidth=0.8, alpha=0.4)


def _handles(arms: list[str], main: list[str]) -> list[Line2D]:
    lines = [
        style.line_handle("Task 0, held-out persons"),
        style.line_handle("Task 1", linestyle="--", linewidth=1.0),
        style.line_handle("Task 0 after one recovery epoch", style.SEQUENTIAL, marker="o", **_RECOVERED),
    ]
    pale = [handle for arm in arms if arm not in main for handle in style.arm_handles([arm], linewidth=0.8, alpha=0.5, markersize=0)]
    return [*style.arm_handles(main), *lines, style.FLOOR_HANDLE, style.CONTROL_HANDLE, *pale]
