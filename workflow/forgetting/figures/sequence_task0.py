"""Does the loss of Task 0 add up over a sequence of tasks?

**What it shows.** Accuracy on Task 0, of persons whose questions no stage trained on, through all tasks of the sequence.

**How to read it.** Each stripe is a task, from its first step to its last. Arms differ in how many steps a task takes,
so places within a stripe are shares of it. Dotted purple: the arm that never had Task 0. What it answers right are the
form that the tasks teach and lucky guesses, so only what an arm has above it is left of Task 0. Grey: what always giving
the most frequent answer would score.

**What to look for.** A fall at the start of every stripe and a rise within it; or a first fall that the later tasks leave
as it is.

**What would contradict the claim.** A curve well above the purple one after the first task, which then loses as much of
that in each later task: forgetting adds up task by task; the claim is of a loss of form, which the first task can bring
about alone. A curve that is down at the purple one after the first task has nothing left to lose, and speaks for neither.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from forgetting.analysis.sequence import TASK0, task_names
from forgetting.figures import style
from forgetting.schemas.facts import ACCURACY

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 2,
    "inputs": {"sequence": ["all"], "sequence_metrics": ["all"], "floors": []},
}


def draw(sequence: pd.DataFrame, sequence_metrics: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Frames: SEQUENCE, METRICS of all tasks and arms, METRICS floors."""
    names = task_names(sequence)
    arms = style.arm_order(sequence_metrics["arm"])
    rows = with_place(sequence_metrics, names)
    figure, axes = style.new_figure(1, 1, height=3.3 + 0.2 * max(0, len(arms) // 3 - 3))
    panel = axes[0, 0]
    for arm in arms:
        style.draw_curve(panel, rows[rows["arm"] == arm], "place", style.arm_look(arm), markers=8, linewidth=1.0)
    tasks = len(names) - 1
    for task in range(0, tasks, 2):
        panel.axvspan(task, task + 1, color="#F0F0F0", zorder=0, linewidth=0)
    style.accuracy_axis(panel, "Task 0 exact match\n(share of answers, held-out persons)")
    style.draw_floor(panel, floors, TASK0, ACCURACY)
    panel.set_xlim(-0.06, tasks)  # before the first step, which would be cut at the edge
    panel.set_xticks([task + 0.5 for task in range(tasks)], [f"Task {task + 1}" for task in range(tasks)])
    panel.set_title("Task 0 through the sequence")
    panel.set_xlabel("task that is learned; within it, share of its steps")
    panel.grid(axis="x", visible=False)
    style.legend(figure, [*style.arm_handles(arms), style.FLOOR_HANDLE], columns=4)
    style.note(figure, sequence_metrics)
    return figure


def with_place(metrics: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Task 0 accuracy with column `place`: tasks learned before, plus the share of the steps of the present one. The first evaluation of a
    task is that of the end of the one before, and left out but for Task 1."""
    rows = metrics[(metrics["split"] == TASK0) & (metrics["metric"] == ACCURACY) & (metrics["kind"] == "all")]
    number = rows["stage"].map({name: place for place, name in enumerate(names)})
    steps = rows.groupby(["seed", "arm", "stage"])["step"].transform("max")
    rows = rows.assign(place=(number - 1 + rows["step"] / steps).round(6))
    return rows[(rows["step"] > 0) | (number == 1)]
