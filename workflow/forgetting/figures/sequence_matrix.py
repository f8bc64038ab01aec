"""Which tasks are forgotten after which?

**What it shows.** The matrix R: a row for each task that was learned, from Task 0 down, a column for each task that is
asked. Task 0 is asked of persons whose questions no stage trained on; of a later task all persons are asked, and they
were trained on in that task: a line parts the two kinds of question.

**How to read it.** Down a column: how one task fares while later ones are learned. The frame marks a task right after
it was learned; to the right of it are tasks still to come, which stay at chance. An arm that
never had Task 0 starts from the pretrained model, whose row has no frame.

**What to look for.** Columns that fade below the frame (forgetting), and whether all fade at once or one after the
other. Intervals are in the table beside.

**What would contradict the claim.** Columns that keep their colour: then nothing was forgotten. A matrix says nothing of
whether what faded is still there: that is what recovery asks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from forgetting.analysis.sequence import ALONE, matrix_rows
from forgetting.data.points import never_had_task0
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 1,
    "inputs": {"sequence": ["all"]},
}

MOST = 4
"""Panels."""
_COLORS = LinearSegmentedColormap.from_list("accuracy", ["#FFFFFF", "#56B4E9", "#00446B"])


def draw(sequence: pd.DataFrame) -> Figure:
    """Frame: SEQUENCE."""
    rows = matrix_rows(sequence[sequence["arm"] != ALONE])
    everyone = style.arm_order(rows["arm"])
    arms, left_out = everyone[:MOST], everyone[MOST:]
    columns = min(2, len(arms))
    lines = -(-len(arms) // columns)
    figure, axes = style.new_figure(lines, columns, height=2.6 * lines + 0.3)
    for letter, panel, arm in zip("abcd", axes.flat, arms, strict=False):
        of_arm = rows[rows["arm"] == arm]
        merged = over_seeds(of_arm, ["stage", "task"], kind=PROPORTION)
        spread = of_arm.pivot_table(index="stage", columns="task", values="value", aggfunc="std", dropna=False)
        table = merged.pivot(index="stage", columns="task", values="value").to_numpy()
        _draw_matrix(panel, table, spread.to_numpy(), learned_from=1 if never_had_task0(arm) else 0)
        style.title(panel, letter, style.arm_look(arm).label)
    for panel in axes.flat[len(arms) :]:
        panel.set_axis_off()
    seeds = sequence["seed"].nunique()
    runs = "One seed: share of right answers" if seeds == 1 else f"Share of right answers, mean and standard deviation of {seeds} seeds"
    names = f" In the table alone: {', '.join(style.arm_look(arm).label for arm in left_out)}." if left_out else ""
    style.small_print(figure, f"{runs}.{names}")
    return figure


def _draw_matrix(panel: Axes, table: np.ndarray, spread: np.ndarray, learned_from: int) -> None:
    """Shares by stage and task, and their standard deviation over seeds (NaN with one). learned_from: the first task that was learned."""
    panel.imshow(table, cmap=_COLORS, vmin=0, vmax=1, aspect="auto")
    for (stage, task), value in np.ndenumerate(table):
        text = f"{value:.2f}" + ("" if np.isnan(spread[stage, task]) else f"\n±{spread[stage, task]:.2f}")
        color = "white" if value > 0.6 else "black"
        panel.text(task, stage, text, ha="center", va="center", fontsize=7, linespacing=0.9, color=color)
        if stage == task >= learned_from:
            panel.add_patch(Rectangle((task - 0.47, stage - 0.47), 0.94, 0.94, fill=False, edgecolor="#D55E00", linewidth=1.3))
    ticks = range(len(table))
    panel.set_xticks(ticks, [str(task) for task in ticks])
    panel.set_yticks(ticks, ["pre-\ntrained" if learned_from > 0 else "0", *(str(task) for task in ticks[1:])])
    panel.axvline(0.5, color="#444444", linewidth=1.0)
    panel.set_xlabel("asked about task")
    panel.set_ylabel("after task")
    panel.grid(visible=False)
