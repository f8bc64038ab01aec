"""Is the representation destroyed, or only moved?

**What it shows.** How alike the states of held-out Task 0 questions stay in geometry (*a*), and whether their
answers can still be read off them (*b*, *c*), layer by layer, at the last prompt token.

**How to read it.** *a*: linear CKA between the model after Task 0 and a later one, 1 where the geometry is the
same up to rotation and scale; solid at step 150, dashed at the end; dash-dotted: chance (permuted persons). It is
taken among the questions of one attribute, whose words are the same but for the name, and averaged over the
attributes: over all questions the attributes alone would keep it high. There is no interval of one run, and no
value where states do not vary, as at the embedding of a last token that all have. *b*, *c*: the logit
lens, which reads each layer by the final norm and the output embedding of its own checkpoint, as
if the model had to answer there: the share of questions whose right value leads all values of its kind by its
first token. Black: after Task 0. Dash-dotted: always the most frequent value. Dotted: control persons, about whom
nothing can be known. Layers count from 1; *emb.* is the embedding.

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
from forgetting.statistics import PROPORTION, over_seeds

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
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.0}
_CONTROL_LINE: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9}
_LEADS = "right value leads"


def draw(features: pd.DataFrame) -> Figure:
    """CKA and the logit lens by layer. Frame: FEATURES."""
    rows, arms = features[features["kind"] == "all"], style.arm_order(features["arm"])
    within = features[features["kind"] != "all"]
    figure, axes = style.new_figure(1, 3, height=2.9)
    geometry, early, late = axes[0]
    # CKA is of `task0` and a later checkpoint; for the lens, `before` and `after` name the same one.
    cka = within[(within["metric"] == "cka") & (within["split"] == _SPLIT) & (within["before"] == "task0") & (within["after"] != "task0")]
    cka = cka.groupby(["seed", "arm", "after", "layer"], as_index=False)[["value", "low", "high", "chance"]].mean()
    lens = rows[(rows["metric"] == "lens_lead") & (rows["before"] == rows["after"])]
    _by_layer(geometry, cka, arms, STAGES)
    for panel, after in ((early, TASK1_EARLY), (late, TASK1_END)):
        known = lens[lens["split"] == _SPLIT]
        style.draw_curve(panel, known[(known["arm"] == arms[0]) & (known["after"] == "task0")], "layer", _TASK0, markers=20)
        for arm in arms:
            unknown = lens[(lens["split"] == _CONTROL) & (lens["arm"] == arm) & (lens["after"] == after)]
            style.draw_curve(panel, unknown, "layer", style.CONTROLS["control"], band=False, **_CONTROL_LINE)
        _by_layer(panel, known, arms, {after: STAGES[TASK1_EARLY]})
    titles = ("geometry", f"{_LEADS},\n{WORDS[EARLY]}", f"{_LEADS},\n{WORDS[END]}")
    for letter, panel, text in zip("abc", axes[0], titles, strict=True):
        style.title(panel, letter, text)
        layer_axis(panel, rows)
        panel.set_ylim(-0.03, 1.03)
    geometry.set_ylabel("linear CKA within attributes")
    early.set_ylabel("share of questions")
    stages = [style.line_handle(f"a: {WORDS[EARLY]}"), style.line_handle(f"a: {WORDS[END]}", linestyle="--")]
    marks = [
        style.line_handle(_TASK0.label, _TASK0.color, marker=_TASK0.marker),
        style.line_handle("control persons (b, c)", style.CONTROL_LABEL, **_CONTROL_LINE),
        style.line_handle("chance", **_CHANCE),
    ]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *stages, *marks], columns=4)
    style.note(figure, rows, intervals="bands (b, c)" if rows["seed"].nunique() == 1 else "bands")
    return figure


def _by_layer(panel: Axes, rows: pd.DataFrame, arms: list[str], stages: dict[str, dict[str, Any]]) -> None:
    """A line for each arm and each later checkpoint of `stages` (with its looks) over the layers, and chance."""
    for arm in arms:
        for after, line in stages.items():
            chosen = rows[(rows["arm"] == arm) & (rows["after"] == after)]
            style.draw_curve(panel, chosen, "layer", style.arm_look(arm), markers=20, **line)
    first = rows[(rows["arm"] == arms[0]) & (rows["after"] == next(iter(stages)))]
    chance = over_seeds(first.assign(value=first["chance"], low=np.nan, high=np.nan), ["layer"], kind=PROPORTION)
    panel.plot(chance["layer"], chance["value"], **_CHANCE)
