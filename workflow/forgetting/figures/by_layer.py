"""What figures of the layers have in common: their axis, and how the stages of Task 1 are told apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style

STAGES: dict[str, dict[str, Any]] = {TASK1_EARLY: {"linestyle": "-"}, TASK1_END: {"linestyle": "--"}}
STAGE_FACES = {TASK1_EARLY: None, TASK1_END: "white"}
"""Of the marks of a stage; None: in the colour of the arm."""


def stage_handles() -> list[Line2D]:
    texts = {TASK1_EARLY: f"Task 0 to {WORDS[EARLY]}", TASK1_END: f"Task 0 to the {WORDS[END]}"}
    return [style.line_handle(text, marker="o", markerfacecolor=STAGE_FACES[stage], **STAGES[stage]) for stage, text in texts.items()]


def layer_axis(panel: Axes, rows: pd.DataFrame) -> None:
    """Ticks at the layers of `rows`, counted from 1; 0 is the embedding."""
    layers = sorted(rows["layer"].unique())[:: max(1, rows["layer"].nunique() // 6)]
    panel.set_xticks(layers, ["emb." if layer == 0 else str(layer) for layer in layers])
    panel.set_xlabel("layer")
