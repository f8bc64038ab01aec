"""Do name tokens that pretraining never saw change the collapse and the return?

**What it shows.** The same study twice. In one, the persons of Task 1 have names of tokens that pretraining
has seen, as at the paper's scale. In the other, the pools of names are so large that nearly every one of them
owns a token that it never touched: a private, untrained row of the embedding.

**How to read it.** *a*: Task 0 while Task 1 is learned. *b*: the same runs, Task 0 against Task 1 accuracy,
so that faster and slower learners are compared at equal Task 1. Dashed: the input embedding is frozen.

**What to look for.** How far Task 0 climbs back after the collapse, and how far the dashed line lies below
the solid one in *b*: what the frozen embedding costs.

**What would contradict the reading.** That blank names explain the return and the cost of the frozen
embedding is wrong if the two colours run alike in *b*.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from forgetting.figures import style

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 3,
    "only_if": "beside",
    "inputs": {
        "metrics": ["seq", "freeze-0"],
        "pretrained": ["seq", "freeze-0"],
        "floors": [],
    },
}

ARMS = {"seq": "-", "freeze-0": "--"}
NAMES = {
    "metrics": style.Look(style.SEQUENTIAL, "o", "blank name tokens"),
    "pretrained": style.Look("#0072B2", "s", "pretrained name tokens"),
}
_TASK0 = "Task 0 exact match\n(share of answers)"


def draw(metrics: pd.DataFrame, pretrained: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Frames: METRICS of the task1 runs of `ARMS` in this study, whose names are blank, and in the one whose names are pretrained; METRICS
    floors of this study."""
    figure, axes = style.new_figure(1, 2, height=3.0, sharey=True)
    time, plane = axes[0]
    for frame, look in zip((metrics, pretrained), NAMES.values(), strict=True):
        for arm, line in ARMS.items():
            run = frame[frame["arm"] == arm]
            rows = run[(run["split"] == "task0_test") & (run["metric"] == "exact_match") & (run["kind"] == "all")]
            style.draw_curve(time, rows, "step", look, linestyle=line, markers=6, band=arm == "seq")
            style.draw_path(plane, run, look.color, linestyle=line, marker=look.marker, markevery=style.ALONG)
    for panel in (time, plane):
        style.draw_floor(panel, floors, "task0_test", "exact_match")
        style.accuracy_axis(panel, "")
    time.set_ylabel(_TASK0)
    time.set_xlabel("Task 1 step")
    style.title(time, "a", "collapse and return")
    plane.set_xlim(-0.03, 1.03)
    plane.set_xlabel("Task 1 exact match (share of answers)")
    style.title(plane, "b", "at equal Task 1 accuracy")
    names = [style.line_handle(look.label, look.color, marker=look.marker) for look in NAMES.values()]
    arms = [style.line_handle(style.arm_look(arm).label, linestyle=line) for arm, line in ARMS.items()]
    style.legend(figure, [*names, *arms, style.FLOOR_HANDLE], columns=3)
    style.note(figure, metrics, "Both studies differ in nothing but the pools that names are drawn from.")
    return figure
