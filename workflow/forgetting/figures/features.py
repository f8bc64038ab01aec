"""How far does the mean representation move, and does it come back?

**What it shows.** The shift of the mean of the residual stream, at the last token of held-out Task 0 questions,
by layer, over the four stretches of training that the paper compares: pretraining to Task 0, Task 0 to step 150
of Task 1, step 150 to the end, and Task 0 to the end.

**How to read it.** Length of the shift in units of the spread of the states at its start, which for *c* is step
150, for *b* and *d* after Task 0. So only *b* and *d* can be compared by their heights. Layers count from 1;
*emb.* is the embedding, which has no spread where all questions end in the same token. *a* is the same for all
arms, so it is drawn once. In which direction the states shift is in the figure of angles.

**What to look for.** Lines in *b* well above those in *d*: what the first 150 steps did to the mean is taken
back later, as the paper reports. Shifts that grow with depth, and smaller ones under freezing and replay.

**What would contradict the paper.** *d* as high as *b*, or higher: then the mean ends no nearer to where it was
before Task 1 than step 150 had brought it, and nothing is taken back.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.figures.by_layer import layer_axis
from forgetting.statistics import RATIO

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 1,
    "inputs": {
        "features": ["viewed"],
    },
}

_SPLIT = "task0_test"
STRETCHES = {
    ("pretrained", "task0"): "pretraining to Task 0",
    ("task0", TASK1_EARLY): f"Task 0 to {WORDS[EARLY]}",
    (TASK1_EARLY, TASK1_END): f"{WORDS[EARLY]} to the {WORDS[END]}",
    ("task0", TASK1_END): f"Task 0 to the {WORDS[END]}",
}
TASK0 = style.Look("#1A1A1A", "P", "Task 0 training, before any arm")


def draw(features: pd.DataFrame) -> Figure:
    """One panel a stretch of training, by layer. Frame: FEATURES."""
    wanted = (features["metric"] == "relative_shift") & (features["kind"] == "all") & (features["split"] == _SPLIT)
    rows, arms = features[wanted], style.arm_order(features["arm"])
    figure, axes = style.new_figure(2, 2, height=4.4, sharex=True, sharey=True)
    for letter, panel, ((before, after), text) in zip("abcd", axes.flat, STRETCHES.items(), strict=True):
        here = rows[(rows["before"] == before) & (rows["after"] == after)]
        looks = {arm: style.arm_look(arm) for arm in arms} if before != "pretrained" else {arms[0]: TASK0}
        for arm, look in looks.items():
            style.draw_curve(panel, here[here["arm"] == arm], "layer", look, kind=RATIO, markers=20)
        style.title(panel, letter, text)
    axes[0, 0].set_ylim(0, None)
    for panel in axes[:, 0]:
        panel.set_ylabel("shift of the mean\n/ spread before")
    for panel in axes[1]:
        layer_axis(panel, rows)
    task0 = style.line_handle(TASK0.label, TASK0.color, marker=TASK0.marker)
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), task0], columns=4)
    style.note(figure, rows)
    return figure
