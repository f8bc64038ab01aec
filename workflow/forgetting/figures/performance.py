"""Is Task 0 lost before Task 1 is learned, and can it be brought back?

**What it shows.** The share of questions answered right, every token of the answer, while Task 1 is learned.
*a*: the first 150 steps. *b*: the whole run, on a logarithmic axis after step 100.

**How to read it.** Solid lines are Task 0, asked about persons whose biographies were pretrained but whose
questions were never trained on. Dashed lines are Task 1, in *a* of ``seq`` alone, as all arms still lie near 0
there. Open circles are separate trainings: from that checkpoint of ``seq``, one epoch on the Task 0 questions of
*other* persons; in *b* from step 150 on. Dotted purple, where it was run: the same Task 1 from the model that never
had Task 0, which is what Task 1 itself teaches; open pentagons, a little to the right of their step: the same
recovery of that model. Grey: always giving the most frequent answer, and persons the model never read about
(dotted). Arms that learn Task 1 more slowly run longer. A curve that falls to its floor has lost everything that
can be seen this way. The first token alone, which is guessed more easily, is in the figure by attribute and token.

**What to look for.** An early fall of the solid line while the dashed one has hardly risen: Task 0 is lost
before Task 1 is learned. Open circles that stay high above the fallen curve: the knowledge is still there. That
Task 0 is, too, they do not show: for that they must be above the pentagons.

**What would contradict the claim.** A fall only as fast as Task 1 is learned; open circles that fall with the
solid line; control persons above their floor, which would mean that something leaks. Circles no higher than the
pentagons (and, in the recovery figure, recovery no faster) leave the claim without evidence that Task 0 survived.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import SymmetricalLogLocator
from matplotlib.transforms import ScaledTranslation

from forgetting.data.points import EARLY_STEP, floor_of, never_had_task0
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["main", "without_task0"],
        "recovery": ["seq", "without_task0"],
        "floors": [],
    },
}

_RECOVERED: dict[str, Any] = {"linestyle": "-.", "markerfacecolor": "white", "markersize": 5.5, "linewidth": 1.0}
_RECOVERED_FLOOR: dict[str, Any] = {"linestyle": "none", "markersize": 4}
_ASIDE = 4
"""Points that those of the floor stand to the right, so that they do not lie within the circles."""
_TASK1: dict[str, Any] = {"linestyle": "--", "linewidth": 1.0}
_NO_TASK0: dict[str, Any] = {"linewidth": 1.4}
_METRIC = "exact_match"


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """The first 150 steps, and the whole run. Frames: METRICS of task1, RECOVERY, METRICS floors."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if not style.is_rate_arm(arm) and not never_had_task0(arm)]
    without_task0 = [arm for arm in style.arm_order(metrics["arm"]) if never_had_task0(arm)]
    main = style.main_arms(arms)
    recovered = recovery[_is_recovered(recovery)]
    floor = floor_of("seq", set(recovered["arm"]))
    figure, panels = style.new_figure(1, 2, height=3.7, sharey=True)
    windows = {f"first {EARLY_STEP} steps": (0, EARLY_STEP, ["seq"]), "whole run": (EARLY_STEP, np.inf, main)}
    for letter, panel, (text, (probed_from, until, with_task1)) in zip("ab", panels[0], windows.items(), strict=True):
        rows = _window(metrics, "step", until)
        _draw_arms(panel, rows, arms, main, with_task1)
        probes = _window(recovered[recovered["checkpoint"] >= probed_from], "checkpoint", until)
        _draw_recovered(panel, probes[probes["arm"] == "seq"], "seq", **_RECOVERED)
        if floor:
            aside = panel.transData + ScaledTranslation(_ASIDE / 72, 0, figure.dpi_scale_trans)
            _draw_recovered(panel, probes[probes["arm"] == floor], floor, transform=aside, **_RECOVERED_FLOOR)
        for arm in without_task0:
            run = rows[(rows["arm"] == arm) & (rows["split"] == "task0_test")]
            style.draw_curve(panel, run, "step", style.arm_look(arm), **_NO_TASK0)
        style.draw_floor(panel, floors, "task0_test", _METRIC)
        control = rows[(rows["split"] == "control") & (rows["arm"] == "seq")]
        style.draw_curve(panel, control, "step", style.CONTROLS["control"], linestyle=":", linewidth=1.0, band=False)
        style.title(panel, letter, text)
        panel.set_xlabel("Task 1 step")
    style.accuracy_axis(panels[0, 0], "exact match (share of answers)")
    panels[0, 0].set_xlim(-2, EARLY_STEP + 7)
    panels[0, 1].set_xscale("symlog", linthresh=100, linscale=0.5)
    panels[0, 1].xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=100, subs=[1, 3]))
    style.plain_numbers(panels[0, 1].xaxis)
    panels[0, 1].set_xlim(-3, None)
    panels[0, 1].set_xlabel("Task 1 step (log scale after 100)")
    of_floors = style.arm_handles(without_task0, marker="", **_NO_TASK0)
    if floor:
        of_floors += style.arm_handles([floor], **_RECOVERED_FLOOR)
        of_floors[-1].set_label("never had Task 0, after one epoch")
    style.legend(figure, [*_handles(arms, main), *of_floors], columns=3)
    pale = "" if len(main) == len(arms) else "Pale lines: the other arms, Task 0 only. "
    style.note(figure, metrics, f"{pale}After one epoch: a separate recovery from each checkpoint.")
    return figure


def _is_recovered(recovery: pd.DataFrame) -> pd.Series:
    return (
        (recovery["start"] == "task1")
        & (recovery["training"] == "right")
        & np.isclose(recovery["epochs"], 1)
        & (recovery["split"] == "task0_test")
    )


def _window(rows: pd.DataFrame, by: str, until: float) -> pd.DataFrame:
    return rows[(rows["metric"] == _METRIC) & (rows["kind"] == "all") & (rows[by] <= until)]


def _draw_recovered(panel: Axes, rows: pd.DataFrame, arm: str, **marks: Any) -> None:
    style.error_bars(panel, over_seeds(rows, ["checkpoint"], kind=PROPORTION), "checkpoint", style.arm_look(arm), elinewidth=0.7, **marks)


def _draw_arms(panel: Axes, rows: pd.DataFrame, arms: list[str], main: list[str], with_task1: list[str]) -> None:
    for arm in sorted(arms, key=main.__contains__):
        look, run = style.arm_look(arm), rows[rows["arm"] == arm]
        task0, task1 = (run[run["split"] == split] for split in ("task0_test", "task1"))
        if arm in main:
            style.draw_curve(panel, task0, "step", look, markers=7)
            if arm in with_task1:
                style.draw_curve(panel, task1, "step", look, **_TASK1, marker=look.marker, markevery=style.ALONG, markersize=3)
        else:
            style.draw_curve(panel, task0, "step", look, band=False, linewidth=0.8, alpha=0.4)


def _handles(arms: list[str], main: list[str]) -> list[Line2D]:
    lines = [
        style.line_handle("Task 0"),
        style.line_handle("Task 1 (small marks)", **_TASK1),
        style.line_handle("seq, Task 0 after one epoch", style.SEQUENTIAL, marker="o", **_RECOVERED),
    ]
    pale = [handle for arm in arms if arm not in main for handle in style.arm_handles([arm], linewidth=0.8, alpha=0.5, markersize=0)]
    return [*style.arm_handles(main), *lines, style.FLOOR_HANDLE, style.CONTROL_HANDLE, *pale]
