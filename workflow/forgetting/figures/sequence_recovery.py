"""What recovery brings back of the earlier tasks, after each task.

**What it shows.** After every task of the sequence, each earlier one is recovered for one epoch: accuracy before it
(dashed) and after it. *a*: Task 0, recovered on persons of ``task0_train`` and asked about persons whose questions no
stage trained on. *b*: the mean over the other earlier tasks, each recovered on half of its persons and asked about the
other half. These were trained on in their task, so *b* asks whether what was memorised comes back.

**How to read it.** The grey lines are the same epoch from models that never learned the task: pretrained only, random
weights and, in *b*, the model after Task 0, which knows the form of the questions but none of the persons. Only what an
arm reaches above them shows that something of the task was still in it. In *a* the pretrained model knows the persons
and may come to the ceiling: nothing can be above it then, and an arm below it has lost what even that model had.

**What to look for.** Solid lines high above their dashed ones in every task of the sequence, in *b* above the grey ones.

**What would contradict the claim.** Solid lines that sink as tasks are added, in *a* away from the pretrained model and
towards random weights, in *b* towards the grey lines: then an epoch does not bring back what is forgotten, and more is
lost than its use.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.sequence import mean_of_later_tasks, recovery_rows, task_names
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 3,
    "inputs": {"sequence": ["all"], "sequence_recovery": ["all"], "sequence_controls": []},
}

_FLOORS = {
    "pretrained": style.CONTROLS["pretrained"],
    "random": style.CONTROLS["random"],
    "task1": style.Look("#6E6E6E", "*", "after Task 0"),
}
_LINES = {"pretrained": (0, (6, 2)), "random": (0, (1, 1.5)), "task1": (0, (6, 2, 1, 2))}


def draw(sequence: pd.DataFrame, sequence_recovery: pd.DataFrame, sequence_controls: pd.DataFrame) -> Figure:
    """Frames: SEQUENCE, RECOVERY of the probes of all tasks and arms, RECOVERY of the controls."""
    names = task_names(sequence)
    rows, floors = recovery_rows(sequence_recovery, names), recovery_rows(sequence_controls, names)
    figure, axes = style.new_figure(1, 2, height=3.4, sharey=True)
    arms = style.arm_order(rows["arm"])
    parts = ((rows[rows["task"] == 0], floors[floors["task"] == 0]), (mean_of_later_tasks(rows), mean_of_later_tasks(floors)))
    for letter, panel, text, (found, floor) in zip("ab", axes[0], ("Task 0", "other earlier tasks"), parts, strict=True):
        for arm in arms:
            _draw_arm(panel, found[found["arm"] == arm], arm)
        for start, line in _LINES.items():
            of_start = floor[(floor["start"] == start) & (floor["name"] == "recovered")]
            if len(of_start):
                panel.axhline(float(of_start["value"].mean()), color=_FLOORS[start].color, linewidth=1.0, linestyle=line, zorder=1)
        panel.set_xticks(range(1, len(names)))
        panel.set_xlim(0.7, len(names) - 0.7)
        panel.set_xlabel("after task")
        style.title(panel, letter, text)
    style.accuracy_axis(axes[0, 0], "exact match (share of answers)")
    handles = [style.line_handle(look.label, look.color, linestyle=_LINES[start], linewidth=1.0) for start, look in _FLOORS.items()]
    times = [style.line_handle("after one epoch"), style.line_handle("before it", linestyle="--", linewidth=0.9)]
    style.legend(figure, [*style.arm_handles(arms), *times, *handles], columns=4)
    style.note(figure, rows)
    return figure


def _draw_arm(panel: Axes, rows: pd.DataFrame, arm: str) -> None:
    look = style.arm_look(arm)
    for name, line in (("recovered", "-"), ("dropped", "--")):
        chosen = rows[rows["name"] == name]
        if len(chosen):
            merged = over_seeds(chosen, ["stage"], kind=PROPORTION)
            style.error_bars(panel, merged, "stage", look, linestyle=line, linewidth=1.0, markersize=4)
