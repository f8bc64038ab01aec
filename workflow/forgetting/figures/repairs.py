"""What does the cheapest repair bring back?

**What it shows.** Repairs of the Task 1 checkpoints of ``seq``, from those that leave the weights alone to
one epoch of training, at the lowest point of the first 150 steps (*a*; what stands in the prompt, the choice
among values and the known shift, at step 150) and at the end (*b*).

**How to read it.** Filled: Task 0 exact match after the repair. Cross, above it: its control, which does as much
without knowing what: solved questions with the answers of others, the statement of another person's fact, persons in
no biography, random directions of the same length, random weights holding as much of the squared update, recovery
on shuffled answers. Half of the update and recovery about 1 person have no cross. Open pentagon:
the same recovery of the model that never had Task 0, from its step 150 and its end. Open triangle, below, in *b*
alone, as Task 1 is not learned before: what is left of Task 1 (not asked after recovery, nor where states are
changed). Grey lines: Task 0 with nothing done, and before Task 1. The fact in the prompt can be copied: it says
whether a model still answers, not whether it knows.

**What to look for.** A filled mark near the line of before, far from its cross (and pentagon), with its triangle where
Task 1 was. From what stands in the prompt it is knowledge that is there and needs hardly anything; from training it is
that only as far as it lies above the pentagon, for the epoch teaches the form anew; what puts weights back, or takes
directions of the update away, brings the weights of before with it.

**What would contradict the claim** that the early loss is spurious: no repair but training above its controls.
Then nothing shows that the facts can be reached from where the model is.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.repairs import REPAIRS, repair_runs
from forgetting.data.points import EARLY_STEP, floor_of
from forgetting.figures import style

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "inputs": {
        "graft": ["seq"],
        "recall": ["seq"],
        "repair": ["seq"],
        "metrics": ["seq", "without_task0"],
        "recovery": ["seq", "without_task0"],
    },
}

_TASK0, _CONTROL = style.Look("#0072B2", "o", "Task 0"), style.Look("#6E6E6E", "x", "Task 0, control")
_TASK1 = style.Look("#D55E00", "^", "Task 1 (b)", face="white")
_REFERENCE: dict[str, Any] = {"color": "#6E6E6E", "linewidth": 0.9, "zorder": 1}
_LINES = {-1: "-", -2: (0, (4, 2))}


def draw(graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """Frames: GRAFT, RECALL, COMMON_SHIFT_REPAIR of `seq`; METRICS and RECOVERY of it and of what never had Task 0."""
    floor = floor_of("seq", set(recovery["arm"]))
    runs, of_floor = (
        repair_runs(*(frame[frame["arm"] == arm] for frame in (graft, recall, repair, metrics, recovery)))
        for arm in ("seq", floor or "seq")
    )
    seeds, shown = graft["seed"].nunique(), sorted(place for place in runs["place"].unique() if place >= 0)
    figure, axes = style.new_figure(1, 2, height=5.6, sharex=True, sharey=True)
    for letter, panel, time in zip("ab", axes[0], ("early", "late"), strict=True):
        now = runs[runs["time"] == time]
        for place, line in _LINES.items():
            rows = style.mean_of(now[now["place"] == place], "task0", ["place"], seeds)
            if len(rows):
                panel.axvline(float(rows["value"].iloc[0]), linestyle=line, **_REFERENCE)
        if time == "late":
            _marks(panel, now, "task1", _TASK1, shown, seeds, 0.27)
        _marks(panel, now, "task0_random", _CONTROL, shown, seeds, -0.27)
        if floor:
            _marks(panel, of_floor[of_floor["time"] == time], "task0", style.arm_look(floor), shown, seeds, -0.27)
        _marks(panel, now, "task0", _TASK0, shown, seeds, 0.0)
        style.title(panel, letter, f"first {EARLY_STEP} steps" if time == "early" else "end of Task 1")
        panel.set_xlabel("exact match")
    axes[0, 0].set_yticks(range(len(shown)), [REPAIRS[place].label for place in shown])
    axes[0, 0].set_ylim(len(shown) - 0.4, -0.6)
    axes[0, 0].set_xlim(-0.04, 1.04)
    style.legend(figure, _handles(floor), columns=3)
    style.note(figure, graft)
    return figure


def _marks(panel: Axes, runs: pd.DataFrame, column: str, look: style.Look, shown: list[int], seeds: int, below: float) -> None:
    """One mark of a column of `repair_runs` a row, so far below the middle of the row."""
    rows = style.mean_of(runs[runs["place"].isin(shown)], column, ["place"], seeds)
    if rows.empty:
        return
    for _, of_seed in style.single_seeds(runs[runs["place"].isin(rows["place"])].dropna(subset=column)):
        style.seed_dots(panel, of_seed[column], of_seed["place"].map(shown.index) + below, look)
    bars = [end.clip(lower=0).fillna(0) for end in (rows["value"] - rows["low"], rows["high"] - rows["value"])]
    panel.errorbar(
        rows["value"], rows["place"].map(shown.index) + below, xerr=bars, color=look.color, marker=look.marker, markerfacecolor=look.face,
        markersize=3.6, linestyle="none", elinewidth=0.8, capsize=0,
    )  # fmt: skip


def _handles(floor: str | None) -> list[Any]:
    looks = [_TASK0, _CONTROL, _TASK1]
    if floor:
        looks.insert(2, style.arm_look(floor)._replace(label="Task 0, same recovery, never had Task 0"))
    marks = [style.line_handle(look.label, look.color, marker=look.marker, markerfacecolor=look.face, linestyle="none") for look in looks]
    names = {-1: "Task 0, nothing done", -2: "Task 0, before Task 1"}
    return marks + [style.line_handle(names[place], linestyle=line, **_REFERENCE) for place, line in _LINES.items()]
