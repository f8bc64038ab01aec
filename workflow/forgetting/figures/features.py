"""How far does the mean representation move, and does it come back?

**What it shows.** The shift of the mean of the residual stream, at the last token of held-out Task 0 questions,
by layer, over the four stretches of training that the paper compares: Task 0 to step 150 of Task 1 (*a*), Task 0
to the end (*b*), pretraining to Task 0 (*c*), and step 150 to the end (*d*).

**How to read it.** Length of the shift in units of the spread of the states at its start, which each vertical axis
names. Only *a* and *b* have the same unit and can be compared by their heights; they share one axis. Layers count
from 1; *emb.*, the embedding, is shown only where it has a spread, for which questions must end in different
tokens. *c* is the same for all arms, so it is drawn once. In which direction the states shift is in the figure of
angles. Bands that are not seen are narrower than their lines.
No arm that never had Task 0 is viewed, so there is no floor for how far any training on Task 1 shifts.

**What to look for.** Lines in *a* well above those in *b*: what the first 150 steps did to the mean is taken
back later, as the paper reports. Shifts that grow with depth, and smaller ones under freezing and replay.

**What would contradict the paper.** *b* as high as *a*, or higher: then the mean ends no nearer to where it was
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
    ("task0", TASK1_EARLY): (f"Task 0 to {WORDS[EARLY]}", "after Task 0"),
    ("task0", TASK1_END): (f"Task 0 to the {WORDS[END]}", "after Task 0"),
    ("pretrained", "task0"): ("pretraining to Task 0", "after pretraining"),
    (TASK1_EARLY, TASK1_END): (f"{WORDS[EARLY]} to the {WORDS[END]}", f"at {WORDS[EARLY]}"),
}
"""Of each: its title, and when the spread that is its unit was measured."""
TASK0 = style.Look("#1A1A1A", "P", "Task 0 training, before any arm")


def draw(features: pd.DataFrame) -> Figure:
    """One panel a stretch of training, by layer. Frame: FEATURES."""
    wanted = (features["metric"] == "relative_shift") & (features["kind"] == "all") & (features["split"] == _SPLIT)
    rows, arms = features[wanted].dropna(subset="value"), style.arm_order(features["arm"])
    figure, axes = style.new_figure(2, 2, height=4.4, sharex=True)
    axes[0, 1].sharey(axes[0, 0])
    for letter, panel, ((before, after), (text, unit)) in zip("abcd", axes.flat, STRETCHES.items(), strict=True):
        here = rows[(rows["before"] == before) & (rows["after"] == after)]
        looks = {arm: style.arm_look(arm) for arm in arms} if before != "pretrained" else {arms[0]: TASK0}
        for arm, look in looks.items():
            style.draw_curve(panel, here[here["arm"] == arm], "layer", look, kind=RATIO, markers=20, clip_on=False)
        style.title(panel, letter, text)
        panel.set_ylabel(f"shift of the mean\n/ spread {unit}")
        panel.set_ylim(0, None)
    for panel in axes[1]:
        layer_axis(panel, rows)
    task0 = style.line_handle(TASK0.label, TASK0.color, marker=TASK0.marker)
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), task0], columns=4)
    style.note(figure, rows, shares=False)
    return figure
