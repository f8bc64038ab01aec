"""When are the facts learned, and when does the model become ready to tell them?

**What it shows.** Task 0 accuracy of persons whose questions no stage trained on, of the model as it was at each
kept checkpoint of its life, and after the same recovery from there: a few steps of it, and one epoch.

**How to read it.** From left to right: random weights, pretraining on biographies, Task 0, then Task 1 by ``seq``.
Checkpoints that every seed has stand at equal distances, their steps below. What one epoch reaches is what the model can be brought to
answer; what a few steps reach is how near it is to answering. Purple and open, in Task 1, where it was run: both from
the model that learned the same Task 1 and never had Task 0, the floor of what recovery finds there.

**What to look for.** Where the upper line rises (when the facts are learned), where the middle one does (when the
model becomes ready to answer), and which of the two falls when Task 1 begins.

**What would contradict the claim.** An upper line that falls in the first steps of Task 1 as the dashed one does:
then facts were lost, and not only their use. A middle line in Task 1 no higher than the purple one: then nothing of
Task 0 is shown to be left there, since Task 1 alone brings the model as near to answering.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import NO_TASK0
from forgetting.figures import style

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 3,
    "inputs": {"recovery": ["seq", "without_task0", "controls"]},
}

FEW_STEPS = 8
"""Of recovery, for the line in the middle."""
ARM = "seq"
FLOOR = f"{ARM}{NO_TASK0}"


class Stage(NamedTuple):
    """Rows of RECOVERY that recover from one stage, by `start` and (of Task 1's start, which is Task 0's end) checkpoint."""

    label: str
    within: str
    ends_with: str | None = None


STAGES = (Stage("pretraining", "pretraining", "pretrained"), Stage("Task 0", "task0", "task1"), Stage("Task 1 (seq)", "task1"))
_AFTER_ONE_EPOCH = style.Look("#0072B2", "o", "after one epoch")
_AFTER_FEW_STEPS = style.Look("#B87A00", "^", "")
_FLOOR: dict[str, Any] = {"color": style.arm_look(FLOOR).color, "linestyle": ":", "markerfacecolor": "white", "linewidth": 1.0}
_AS_IT_WAS = style.Look("#444444", "", "as it was")


def draw(recovery: pd.DataFrame) -> Figure:
    """Frame: RECOVERY of `seq`, of arms that never had Task 0, and of the controls."""
    of_all = task0_rows(recovery)
    rows = of_all[(of_all["start"] != "task1") | (of_all["arm"] == ARM)]
    places = _places(rows)
    placed = rows.merge(places, on=["start", "checkpoint"])
    floor = of_all[(of_all["arm"] == FLOOR) & (of_all["checkpoint"] > 0)].merge(places, on=["start", "checkpoint"])
    few = placed.loc[placed["step"] <= FEW_STEPS, "step"].max()
    figure, axes = style.new_figure(1, 1, height=3.3)
    panel = axes[0, 0]
    looks = {_AFTER_ONE_EPOCH: "-", _AFTER_FEW_STEPS._replace(label=f"after {few} steps"): "-", _AS_IT_WAS: "--"}
    shown = (np.isclose(placed["epochs"], 1), placed["step"] == few, placed["step"] == 0)
    for (look, line), chosen in zip(looks.items(), shown, strict=True):
        style.draw_curve(panel, placed[chosen], "place", look, markers=len(places), linestyle=line, linewidth=1.0)
    for look, chosen in ((_AFTER_ONE_EPOCH, np.isclose(floor["epochs"], 1)), (_AFTER_FEW_STEPS, floor["step"] == few)):
        style.draw_curve(panel, floor[chosen], "place", look, markers=len(places), **_FLOOR)
    _finish(panel, places)
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle=line) for look, line in looks.items()]
    if len(floor):
        handles += [style.line_handle(f"{look.label}, never had Task 0", marker=look.marker, **_FLOOR) for look in list(looks)[:2]]
    style.legend(figure, handles, columns=3)
    style.note(figure, rows)
    return figure


def _places(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns start, checkpoint, place (0, 1, ...), stage, step (its label) of every checkpoint of all seeds, random weights first."""
    seeds = rows.groupby(["start", "checkpoint"])["seed"].nunique()
    of_all = seeds[seeds == rows["seed"].nunique()].index
    found = [("random", 0, "", "random")]
    for stage in STAGES:
        steps = sorted(step for start, step in of_all if start == stage.within and step > 0)
        found += [(stage.within, step, stage.label, f"{step:,}") for step in steps]
        if stage.ends_with is not None:
            found.append((stage.ends_with, 0, stage.label, "end"))
    return pd.DataFrame(found, columns=["start", "checkpoint", "stage", "label"]).reset_index(names="place")


def _finish(panel: Axes, places: pd.DataFrame) -> None:
    for number, stage in enumerate(STAGES):
        of_stage = places.loc[places["stage"] == stage.label, "place"]
        low, high = of_stage.min() - 0.5, of_stage.max() + 0.5
        if number % 2 == 0:
            panel.axvspan(low, high, color="#F0F0F0", zorder=0, linewidth=0)
        panel.text((low + high) / 2, 1.05, stage.label, ha="center", va="bottom", fontsize=7)
    panel.set_title("Task 0, by the checkpoint that recovery starts from")
    panel.set_xticks(places["place"], places["label"], rotation=90, fontsize=7)
    panel.set_xlim(-0.6, len(places) - 0.4)
    panel.set_xlabel("step of the stage (one place a checkpoint, not to scale)")
    panel.grid(axis="x", visible=False)
    style.accuracy_axis(panel, "Task 0 exact match\n(held-out persons)")
    panel.set_ylim(-0.03, 1.15)
