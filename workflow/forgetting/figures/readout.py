"""Is the representation destroyed, or only moved?

**What it shows.** How alike the states of held-out Task 0 questions stay to those after Task 0 (*a*, *b*), and
whether their answers can still be read off them (*c*, *d*), layer by layer, at the last prompt token; left at step
150, right at the end of Task 1.

**How to read it.** *a*, *b*: linear CKA between the model after Task 0 and the later one, 1 where the states are
the same up to rotation and scale; dashed: persons permuted, of the arm where that gives most. It is taken among
the questions of one attribute, whose words are the same but for the name, and averaged over the attributes: over
all questions the attributes alone would keep it high. There is no interval of one run, and no value where states
do not vary, as at the embedding of a last token that all have. *c*, *d*: the logit lens, which reads each layer by
the final norm and the output embedding of its own checkpoint, as if the model had to answer there: the share of
questions whose right value leads all values of its kind by its first token. Black: after Task 0. Dash-dotted:
always the most frequent value. Dotted: control persons, about whom nothing can be known. Layers count from 1;
*emb.* is the embedding. Where blocks are frozen the states are the same, so likeness is 1 by construction.

**What to look for.** *a* near 1 with *c* at its floor: the states are moved and not destroyed, and only the way
they are read is lost. *c* falls in the last layers only: what is known below no longer reaches the output.

**What would contradict the claim** that little is destroyed: *a* near the permuted persons at step 150. The lens
alone cannot contradict it, since states that merely turned are also misread. No floor was run: the model without
Task 0 is not viewed, so that states alike may come from pretraining and not from Task 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.figures.by_layer import layer_axis
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
_STAGES = {TASK1_EARLY: WORDS[EARLY], TASK1_END: WORDS[END]}
_TASK0 = style.Look("#1A1A1A", "P", "after Task 0 (c, d)")
_CHANCE: dict[str, dict[str, Any]] = {
    "cka": {"color": style.MODAL_ANSWER, "linestyle": (0, (3, 1.5)), "linewidth": 1.0},
    "lens_lead": {"color": style.MODAL_ANSWER, "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.0},
}
_CONTROL_LINE: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9}


def draw(features: pd.DataFrame) -> Figure:
    """CKA above and the logit lens below, by layer, a column a checkpoint. Frame: FEATURES."""
    rows, arms = features[features["kind"] == "all"], style.arm_order(features["arm"])
    within = features[features["kind"] != "all"]
    figure, panels = style.new_figure(2, 2, height=4.4, sharex="row", sharey="row")
    # CKA is of `task0` and a later checkpoint; for the lens, `before` and `after` name the same one.
    cka = within[(within["metric"] == "cka") & (within["split"] == _SPLIT) & (within["before"] == "task0") & (within["after"] != "task0")]
    cka = cka.groupby(["seed", "arm", "after", "layer"], as_index=False)[["value", "low", "high", "chance"]].mean().dropna(subset="value")
    lens = rows[(rows["metric"] == "lens_lead") & (rows["before"] == rows["after"])]
    known = lens[lens["split"] == _SPLIT]
    for (alike, read), after in zip(panels.T, _STAGES, strict=True):
        _by_layer(alike, cka[cka["after"] == after], arms, _CHANCE["cka"])
        style.draw_curve(read, known[(known["arm"] == arms[0]) & (known["after"] == "task0")], "layer", _TASK0, markers=20)
        for arm in arms:
            unknown = lens[(lens["split"] == _CONTROL) & (lens["arm"] == arm) & (lens["after"] == after)]
            style.draw_curve(read, unknown, "layer", style.CONTROLS["control"], band=False, **_CONTROL_LINE)
        _by_layer(read, known[known["after"] == after], arms, _CHANCE["lens_lead"])
        for panel in (alike, read):
            layer_axis(panel, lens)
            panel.set_xlim(lens["layer"].min() - 0.15, lens["layer"].max() + 0.15)  # each layer above itself
    titles = [f"{text}, {time}" for text in ("likeness", "right value leads") for time in _STAGES.values()]
    for letter, panel, text in zip("abcd", panels.flat, titles, strict=True):
        style.title(panel, letter, text)
    style.accuracy_axis(panels[0, 0], "likeness to after Task 0\n(linear CKA)")
    style.accuracy_axis(panels[1, 0], "share of questions")
    marks = [
        style.line_handle("persons permuted (a, b)", **_CHANCE["cka"]),
        style.line_handle(_TASK0.label, _TASK0.color, marker=_TASK0.marker),
        style.line_handle("most frequent value (c, d)", **_CHANCE["lens_lead"]),
        style.line_handle("control persons (c, d), a line an arm", style.CONTROL_LABEL, **_CONTROL_LINE),
    ]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *marks], columns=3)
    style.note(figure, rows, intervals="bands (c, d)" if rows["seed"].nunique() == 1 else "bands")
    return figure


def _by_layer(panel: Axes, rows: pd.DataFrame, arms: list[str], chance: dict[str, Any]) -> None:
    """A line for each arm over the layers, and the chance of the arm that has most of it."""
    for arm in arms:
        style.draw_curve(panel, rows[rows["arm"] == arm], "layer", style.arm_look(arm), markers=20)
    most = rows.groupby(["seed", "layer"], as_index=False)["chance"].max().rename(columns={"chance": "value"})
    level = over_seeds(most.assign(low=np.nan, high=np.nan), ["layer"], kind=PROPORTION)
    panel.plot(level["layer"], level["value"], **chance)
