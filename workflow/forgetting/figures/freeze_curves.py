"""Do frozen layers keep Task 0, or only slow down both tasks?

**What it shows.** The whole run of every arm that keeps the bottom of the model fixed, beside ``seq``, which keeps
nothing fixed.

**How to read it.** *a*: Task 0 of persons whose questions no stage trained on; dotted purple,
where they were run, the same arms without Task 0, the floor. *b*: Task 1 at the same steps; the grey
line is the accuracy that counts as learned. The darker, the more layers are frozen.

**What to look for.** Curves of *a* that stay apart to their ends, and those of *b* that come as far as that of ``seq``.

**What would contradict the claim.** Curves of *a* that meet later. An order in *a* that is that of *b* turned round,
more of Task 0 where less of Task 1 is learned, says that frozen layers slow both down; whether they keep anything
that a shorter training would not keep is judged at equal Task 1, at early stop in the figure by the number of frozen
layers.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from forgetting.data.points import NO_TASK0, never_had_task0
from forgetting.figures import style

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 3,
    "only_if": "compared:freeze",
    "inputs": {"metrics": ["compared:seq,freeze", "compared_floors"], "floors": []},
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">", "p", "h", "d", "H")
"""By the number of frozen layers: the arms are of one family, whose marker and colour would not tell them apart here."""


_LEARNED: dict[str, Any] = {"color": "#999999", "linewidth": 0.8, "zorder": 0}


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs (seq and the freeze arms are used, and these without Task 0), METRICS floors."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if arm == "seq" or style.arm_family(arm) == "freeze"]
    looks = {arm: style.arm_look(arm)._replace(marker=_MARKERS[place % len(_MARKERS)]) for place, arm in enumerate(arms)}
    without_task0 = [arm for arm in style.arm_order(metrics["arm"]) if never_had_task0(arm) and arm.removesuffix(NO_TASK0) in looks]
    marker = {arm: looks[arm.removesuffix(NO_TASK0)].marker for arm in without_task0}  # that of the same arm with Task 0
    floor_looks = {arm: style.arm_look(arm)._replace(marker=marker[arm]) for arm in without_task0}
    rows = metrics[(metrics["metric"] == "exact_match") & (metrics["kind"] == "all")]
    figure, axes = style.new_figure(1, 2, height=3.4, sharex=True, sharey=True)
    splits = {"task0_test": "Task 0, held-out persons", "task1": "Task 1"}
    for letter, panel, (split, text) in zip("ab", axes[0], splits.items(), strict=True):
        for arm in arms:
            run = rows[(rows["arm"] == arm) & (rows["split"] == split)]
            style.draw_curve(panel, run, "step", looks[arm], markers=5, linewidth=1.0)
        for arm in without_task0 if split == "task0_test" else ():
            run = rows[(rows["arm"] == arm) & (rows["split"] == split)]
            style.draw_curve(panel, run, "step", floor_looks[arm], markers=5, band=False, linewidth=1.0)
        panel.set_xscale("symlog", linthresh=10, linscale=0.4)
        style.plain_numbers(panel.xaxis)
        panel.set_xlim(0, None)
        panel.set_xlabel("Task 1 step (log scale after 10)")
        style.title(panel, letter, text)
    style.accuracy_axis(axes[0, 0], "exact match (share of answers)")
    style.draw_floor(axes[0, 0], floors, "task0_test", "exact_match")
    axes[0, 1].axhline(matched_accuracy, **_LEARNED)
    marked = [
        style.line_handle(look.label, look.color, marker=look.marker, linestyle=look.line, markerfacecolor=look.face)
        for look in (looks | floor_looks).values()
    ]
    learned = style.line_handle("counts as learned (b)", **_LEARNED)
    style.legend(figure, [*marked, style.FLOOR_HANDLE, learned], columns=3)
    style.note(figure, metrics, "Dotted: no band." if without_task0 else "")
    return figure
