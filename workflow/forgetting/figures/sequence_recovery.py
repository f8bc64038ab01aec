"""Does recovery bring earlier tasks back after every task?

**What it shows.** After every task of the sequence, each earlier one is recovered for one epoch: accuracy before it
(dashed, small open marks) and after it. *a*: Task 0, recovered on persons of ``task0_train`` and asked about persons
whose questions no stage trained on. *b*: Task 1, recovered on half of its persons and asked about the other half. These
were trained on in Task 1, so *b* asks whether what was memorised comes back. Later tasks are in the table.

**How to read it.** The control of *a* is the arm that never had Task 0 (purple): it
learned the same tasks, so what it reaches is what the epoch teaches anew. Only what ``seq`` reaches above it shows
that something of Task 0 was still there. It trains all blocks: freezing also keeps what pretraining knew, and replay
what Task 0 asks for, so that an arm of these above it need not have kept Task 0. The pretrained model also knows the
persons and may come to the ceiling; an arm below it has lost what even that model had. In *b* the purple arm learned
Task 1 like the others, and the controls are the grey and black lines: the same epoch from models that never
learned it, namely pretrained only, random weights and the model after Task 0, which knows the form of the
questions but none of the persons. Crosses: ``seq`` after as long a training with shuffled answers, which teaches the form
alone. Lines that lie together are named together, below them. Marks of a task stand side by side.

**What to look for.** Solid lines high above their dashed ones after every task of the sequence: in *a* that of ``seq``
also above that of the purple arm, in *b* above the grey ones.

**What would contradict the claim.** In *a*, a solid line of ``seq`` not above that of the purple arm: then nothing shows that an epoch
brings back what was there, and not what it teaches. In *b*, solid lines that sink towards the grey ones as tasks are
added: then an epoch does not bring back what is forgotten.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.sequence import recovery_rows, task_names
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
    "task1": style.Look("#6E6E6E", "", "after Task 0"),
}
_LINES = {"pretrained": (0, (6, 2)), "random": (0, (1, 1.5)), "task1": (0, (6, 2, 1, 2))}
_SHUFFLED = style.Look("#6E6E6E", "x", "seq, shuffled answers")
_BEFORE: dict[str, Any] = {"linestyle": "--", "linewidth": 0.8, "markersize": 2.5, "markerfacecolor": "white"}
_TOGETHER = 0.05
"""Lines no further apart have no room for a name between them."""


def draw(sequence: pd.DataFrame, sequence_recovery: pd.DataFrame, sequence_controls: pd.DataFrame) -> Figure:
    """Frames: SEQUENCE, RECOVERY of the probes of all tasks and arms, RECOVERY of the controls."""
    names = task_names(sequence)
    rows, floors = recovery_rows(sequence_recovery, names), recovery_rows(sequence_controls, names)
    figure, axes = style.new_figure(1, 2, height=3.4, sharey=True)
    arms = style.arm_order(rows["arm"])
    for task, (letter, panel, text) in enumerate(zip("ab", axes[0], ("Task 0 (held-out persons)", "Task 1 (trained on)"), strict=True)):
        found, floor = rows[rows["task"] == task], floors[floors["task"] == task]
        for arm, beside in zip(arms, style.side_by_side(len(arms)), strict=True):
            _draw_arm(panel, found[found["arm"] == arm], arm, beside)
        shuffled = found[(found["arm"] == "seq") & (found["name"] == "shuffled")]
        if len(shuffled):
            style.error_bars(panel, over_seeds(shuffled, ["stage"], kind=PROPORTION), "stage", _SHUFFLED, elinewidth=0.8, markersize=3.5)
        _draw_floors(panel, floor[floor["name"] == "recovered"].groupby("start")["value"].mean())
        first = int(found["stage"].min())
        panel.set_xticks(range(first, len(names)))
        panel.set_xlim(first - 0.3, len(names) - 0.7)
        panel.set_xlabel("after task")
        style.title(panel, letter, text)
    style.accuracy_axis(axes[0, 0], "exact match (share of answers)")
    axes[0, 0].set_ylim(bottom=-0.1)  # room for the name of a line at 0
    times = [style.line_handle("after one epoch", marker="o", markersize=4), style.line_handle("before it", marker="o", **_BEFORE)]
    times.append(style.line_handle(_SHUFFLED.label, _SHUFFLED.color, marker=_SHUFFLED.marker, linestyle="none"))
    style.legend(figure, [*style.arm_handles(arms), *times], columns=4)
    style.note(figure, rows)
    return figure


def _draw_arm(panel: Axes, rows: pd.DataFrame, arm: str, beside: float) -> None:
    """beside: how far from the tick of its task."""
    look = style.arm_look(arm)
    for name, line in (("recovered", {"linestyle": look.line, "linewidth": 1.3, "markersize": 4}), ("dropped", _BEFORE)):
        chosen = rows[rows["name"] == name]
        if len(chosen):
            merged = over_seeds(chosen, ["stage"], kind=PROPORTION)
            merged["stage"] += beside
            style.error_bars(panel, merged, "stage", look, elinewidth=0.8, **line)


def _draw_floors(panel: Axes, levels: pd.Series) -> None:
    """A line at the accuracy of each start, and below those that lie together their names."""
    levels = levels.sort_values()
    for start, level in levels.items():
        panel.axhline(level, color=_FLOORS[start].color, linewidth=1.0, linestyle=_LINES[start], zorder=1)
    for _, group in levels.groupby((levels.diff() > _TOGETHER).cumsum()):
        names = ", ".join(_FLOORS[start].label for start in group.index[::-1])
        panel.text(
            0.99, group.min() - 0.015, names, transform=panel.get_yaxis_transform(), ha="right", va="top", fontsize=7, color="#444444"
        )
