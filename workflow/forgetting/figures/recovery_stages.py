"""When are the facts learned, and when does the model become ready to tell them?

**What it shows.** Task 0 accuracy of persons whose questions no stage trained on, of the model as it was at each
kept checkpoint of its life, and after the same recovery from there: a few steps of it, and one epoch.

**How to read it.** From left to right: random weights, pretraining on biographies, Task 0, then Task 1 by ``seq``.
Checkpoints stand at equal distances, their steps below. What one epoch reaches is what the model can be brought to
answer; what a few steps reach is how near it is to answering.

**What to look for.** Where the upper line rises (when the facts are learned), where the middle one does (when the
model becomes ready to answer), and which of the two falls when Task 1 begins.

**What would contradict the claim.** An upper line that falls in the first steps of Task 1 as the dashed one does:
then facts were lost, and not only their use. A middle line as high in pretraining as in Task 1 says that nothing of
Task 0 is left in Task 1 that pretraining had not given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.figures import style

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 3,
    "inputs": {"recovery": ["seq", "controls"]},
}

FEW_STEPS = 8
"""Of recovery, for the line in the middle."""
ARM = "seq"


class Stage(NamedTuple):
    """Rows of RECOVERY that recover from one stage, by `start` and (of Task 1's start, which is Task 0's end) checkpoint."""

    label: str
    within: str
    ends_with: str | None = None


STAGES = (Stage("pretraining", "pretraining", "pretrained"), Stage("Task 0", "task0", "task1"), Stage("Task 1 (seq)", "task1"))
_AFTER_ONE_EPOCH = style.Look("#0072B2", "o", "after one epoch")
_AFTER_FEW_STEPS = style.Look("#B87A00", "^", "")
_AS_IT_WAS = style.Look("#444444", "", "as it was")


def draw(recovery: pd.DataFrame) -> Figure:
    """Frame: RECOVERY of `seq` and of the controls."""
    rows = task0_rows(recovery)
    rows = rows[(rows["start"] != "task1") | (rows["arm"] == ARM)]
    places = _places(rows)
    placed = rows.merge(places, on=["start", "checkpoint"])
    few = placed.loc[placed["step"] <= FEW_STEPS, "step"].max()
    figure, axes = style.new_figure(1, 1, height=3.3)
    panel = axes[0, 0]
    looks = {_AFTER_ONE_EPOCH: "-", _AFTER_FEW_STEPS._replace(label=f"after {few} steps"): "-", _AS_IT_WAS: "--"}
    shown = (np.isclose(placed["epochs"], 1), placed["step"] == few, placed["step"] == 0)
    for (look, line), chosen in zip(looks.items(), shown, strict=True):
        style.draw_curve(panel, placed[chosen], "place", look, markers=len(places), linestyle=line, linewidth=1.0)
    _finish(panel, places)
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle=line) for look, line in looks.items()]
    style.legend(figure, handles, columns=3)
    style.note(figure, rows)
    return figure


def _places(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns start, checkpoint, place (0, 1, ...), stage, step (its label) of every checkpoint, random weights first."""
    found = [("random", 0, "", "random")]
    for stage in STAGES:
        steps = sorted(set(rows.loc[rows["start"] == stage.within, "checkpoint"]) - {0})
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
    panel.set_xlabel("step of the stage")
    panel.grid(axis="x", visible=False)
    style.accuracy_axis(panel, "Task 0 exact match\n(share of answers, held-out persons)")
    panel.set_ylim(-0.03, 1.15)
