"""What figures of the layers have in common: their axis, and how the stages of Task 1 are told apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style

STAGES: dict[str, dict[str, Any]] = {TASK1_EARLY: {"linestyle": "-"}, TASK1_END: {"linestyle": "--"}}
STAGE_HANDLES = [
    style.line_handle(f"Task 0 to {WORDS[EARLY]}"),
    style.line_handle(f"Task 0 to the {WORDS[END]}", linestyle="--"),
]


def layer_axis(panel: Axes, rows: pd.DataFrame) -> None:
    """Ticks at the layers of `rows`, counted from 1; 0 is the embedding."""
    layers = sorted(rows["layer"].unique())[:: max(1, rows["layer"].nunique() // 6)]
    panel.set_xticks(layers, ["emb." if layer == 0 else str(layer) for layer in layers])
    panel.set_xlabel("layer")
