"""Is the representation destroyed, or only moved?

**What it shows.** How alike the states of held-out Task 0 questions stay in geometry (*a*), and whether their
answers can still be read off them (*b*, *c*), layer by layer, at the last prompt token.

**How to read it.** *a*: linear CKA between the model after Task 0 and a later one, 1 where the geometry is the
same up to rotation and scale. *b*, *c*: the logit lens, which reads each layer by the final norm and the output
embedding of its own checkpoint, as if the model had to answer there: the share of questions whose right value
leads all values of its kind by its first token, and the mean rank of that value (1 is the top). Solid lines at
step 150, dashed ones at the end, black after Task 0. Dotted: chance (*b*: always the most frequent value; *c*:
a random order; *a*: permuted questions). Thin grey: control persons at the end, about whom nothing can be
known. Layers count from 1; *emb.* is the embedding.

**What to look for.** *a* near 1 with *b* at chance: the states are moved and not destroyed, and only the way
they are read is lost. *b* falls in the last layers only: what is known below no longer reaches the output.

**What would contradict the claim** that little is destroyed: *a* near chance at step 150. The lens alone cannot
contradict it, since states that merely turned are also misread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.figures.by_layer import STAGES, layer_axis
from forgetting.statistics import PROPORTION, RATIO, Kind, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 3,
    "inputs": {
        "features": ["viewed"],
    },
}

_SPLIT, _CONTROL = "task0_test", "control"
_TASK0 = style.Look("#1A1A1A", "P", "after Task 0 (b, c)")
_CHANCE: dict[str, Any] = {"color": style.CONTROL_LABEL, "linestyle": ":", "linewidth": 1.1}
_CONTROL_LINE: dict[str, Any] = {"linestyle": "-.", "linewidth": 0.8}
_PANELS = {
    "cka": ("geometry", "linear CKA", PROPORTION),
    "lens_lead": ("right value leads", "share of questions", PROPORTION),
    "lens_rank": ("rank of value", "mean rank", RATIO),
}


def draw(features: pd.DataFrame) -> Figure:
    """CKA and the logit lens by layer. Frame: FEATURES."""
    rows, arms = features[features["kind"] == "all"], style.arm_order(features["arm"])
    figure, axes = style.new_figure(1, 3, height=2.9)
    for letter, panel, (metric, (text, label, kind)) in zip("abc", axes[0], _PANELS.items(), strict=True):
        _by_layer(panel, rows[rows["metric"] == metric], arms, kind)
        style.title(panel, letter, text)
        panel.set_ylabel(label)
        layer_axis(panel, rows)
        if kind is PROPORTION:
            panel.set_ylim(-0.03, 1.03)
    axes[0, 2].set_yscale("log")
    axes[0, 2].yaxis.set_major_formatter("{x:g}")
    axes[0, 2].yaxis.set_minor_formatter("")
    stages = [style.line_handle(f"at {WORDS[EARLY]}"), style.line_handle(f"at the {WORDS[END]}", linestyle="--")]
    marks = [
        style.line_handle(_TASK0.label, _TASK0.color, marker=_TASK0.marker),
        style.line_handle("control persons (b, c)", style.CONTROL_LABEL, **_CONTROL_LINE),
        style.line_handle("chance", **_CHANCE),
    ]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *stages, *marks], columns=4)
    style.note(figure, rows)
    return figure


def _by_layer(panel: Axes, rows: pd.DataFrame, arms: list[str], kind: Kind) -> None:
    """Lines over the layers. CKA is of `task0` and a later checkpoint; for the lens, `before` and `after` name the same one."""
    own = rows["before"] == rows["after"]
    known = rows[(rows["split"] == _SPLIT) & (own | (rows["before"] == "task0"))]
    start = known[(known["arm"] == arms[0]) & (known["after"] == "task0")]
    style.draw_curve(panel, start, "layer", _TASK0, kind=kind, markers=20)
    for arm in arms:
        for after, line in STAGES.items():
            chosen = known[(known["arm"] == arm) & (known["after"] == after)]
            style.draw_curve(panel, chosen, "layer", style.arm_look(arm), kind=kind, markers=20, **line)
        unknown = rows[own & (rows["split"] == _CONTROL) & (rows["arm"] == arm) & (rows["after"] == TASK1_END)]
        style.draw_curve(panel, unknown, "layer", style.CONTROLS["control"], kind=kind, band=False, **_CONTROL_LINE)
    first = known[(known["arm"] == arms[0]) & (known["after"] == TASK1_EARLY)]
    chance = over_seeds(first.assign(value=first["chance"], low=np.nan, high=np.nan), ["layer"], kind=kind)
    panel.plot(chance["layer"], chance["value"], **_CHANCE)
