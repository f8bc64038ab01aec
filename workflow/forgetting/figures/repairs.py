"""What does the cheapest repair bring back?

**What it shows.** Repairs of the Task 1 checkpoints of ``seq``, from those that leave the weights alone to one
epoch of training: early (*a*) and at the end (*b*). Early is the lowest point of the first 150 steps, for the
first group step 150. ``repairs_table`` has more repairs, among them solved questions in the prompt, for which the
line of before is none: a model may be unable to use them before Task 1 already.

**How to read it.** Filled: Task 0 exact match after the repair. Cross, above it: its control, which does as much
without knowing what. Of the first group it is the statement of another person's fact, persons in no biography, and
random shifts of the same length; of each other group it stands under its name. Random weights hold as much of the
squared update as the part, of all blocks for a part of them, else of the whole model: the control of a part that
matters little can do more than the repair. Half of the update and recovery about 1 person have no cross. Open
pentagon, where it was run: the same repair of the model that never had Task 0: the same part as it was before Task
1 set into it, or the same epoch. Open triangle, below, in *b* alone, as Task 1 is not learned before: what is left
of Task 1, or *not asked*. Grey lines: Task 0 with nothing done, and before Task 1. The fact in the prompt can be
copied: it says whether a model still answers, not whether it knows.

**What to look for.** A filled mark near the line of before, far from its cross and its pentagon, with its triangle
where Task 1 was. A pentagon as high says that the part, or the epoch, brings the answers along: the checkpoint
need not have kept them.

**What would contradict the claim** that the early loss is spurious: no repair but training above its controls.
Then nothing shows that the facts can be reached from where the model is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.repairs import repair_runs
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

_GROUPS = {
    "weights as they are\n(a: at step 150)": (
        "the fact itself in the prompt",
        "choice among the values of its kind",
        "shift of 16 known persons taken off",
    ),
    "parts of the update off\n(× random directions)": (
        "1 direction of each update off",
        "8 directions of each update off",
        "half of the whole update off",
    ),
    "weights put back\n(× random weights)": (
        "input embedding put back",
        "output embedding put back",
        "queries and keys put back",
        "values and attention outputs put back",
        "MLPs put back",
        "first block put back",
    ),
    "training\n(× shuffled answers)": ("recovery, one epoch about 1 person", "recovery, one epoch"),
}
"""The repairs that are drawn, by the label in REPAIRS, below the names of their groups."""
_TASK0, _CONTROL = style.Look("#0072B2", "o", "Task 0"), style.Look("#6E6E6E", "x", "Task 0, control")
_TASK1 = style.Look("#D55E00", "^", "Task 1 (b)", face="white")
_REFERENCE: dict[str, Any] = {"color": "#6E6E6E", "linewidth": 0.9, "zorder": 1}
_LINES = {"nothing done": "-", "before Task 1": (0, (4, 2))}
_ABOVE, _FLOOR_ABOVE, _BELOW = -0.36, -0.19, 0.26
"""How far from the middle of a row its control, the model without Task 0, and Task 1 stand."""


def draw(graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """Frames: GRAFT, RECALL, COMMON_SHIFT_REPAIR of `seq`; METRICS and RECOVERY of it and of what never had Task 0."""
    floor = floor_of("seq", set(recovery["arm"]))
    of_floor = graft[graft["operation"] == "into_floor"].assign(operation="back", arm=floor or "")  # what it comes to with that part
    runs, runs_of_floor = (
        repair_runs(*(frame[frame["arm"] == arm] for frame in (grafts, recall, repair, metrics, recovery)))
        for grafts, arm in ((graft, "seq"), (of_floor, floor or "seq"))
    )
    rows = _rows(set(runs["repair"]))
    seeds = graft["seed"].nunique()
    figure, axes = style.new_figure(1, 2, height=5.6, sharex=True, sharey=True)
    for letter, panel, time in zip("ab", axes[0], ("early", "late"), strict=True):
        now = runs[runs["time"] == time]
        for name, line in _LINES.items():
            level = style.mean_of(now[now["repair"] == name], "task0", ["repair"], seeds)
            panel.axvline(float(level["value"].iloc[0]), linestyle=line, **_REFERENCE)
        if time == "late":
            _marks(panel, now, "task1", _TASK1, rows, seeds, _BELOW)
            _not_asked(panel, now, rows)
        _marks(panel, now, "task0_random", _CONTROL, rows, seeds, _ABOVE)
        if floor:
            _marks(panel, runs_of_floor[runs_of_floor["time"] == time], "task0", style.arm_look(floor), rows, seeds, _FLOOR_ABOVE)
        _marks(panel, now, "task0", _TASK0, rows, seeds, 0.0)
        style.title(panel, letter, f"first {EARLY_STEP} steps" if time == "early" else "end of Task 1")
        panel.set_xlabel("exact match (share)")
    _name(axes[0], rows)
    axes[0, 0].set_xlim(-0.04, 1.04)
    style.legend(figure, _handles(floor), columns=3)
    crosses = "another person's fact, persons in no biography, random shifts of the same length"
    style.note(figure, graft, f"Crosses of the first group: {crosses}.", intervals="bars")
    return figure


def _rows(measured: set[str]) -> dict[str, float]:
    """Places of the names of groups and of the measured repairs, from the top."""
    names = [name for group, repairs in _GROUPS.items() for name in (group, *(label for label in repairs if label in measured))]
    return {name: float(place) for place, name in enumerate(names)}


def _name(panels: np.ndarray, rows: dict[str, float]) -> None:
    """Ticks for the repairs, none for the names of groups, each but the first below a light rule."""
    repairs, groups = ({name: y for name, y in rows.items() if (name in _GROUPS) == is_group} for is_group in (False, True))
    panels[0].set_yticks([*repairs.values()], [*repairs])
    panels[0].set_yticks([*groups.values()], [*groups], minor=True, fontweight="bold", linespacing=1.1)
    for panel in panels:
        panel.tick_params(axis="y", which="minor", length=0)
        for place in list(repairs.values())[::2]:
            panel.axhspan(place - 0.52, place + 0.48, color=style.BAND, linewidth=0, zorder=-1)
        for above in list(groups.values())[1:]:
            panel.axhline(above - 0.5, color="#999999", linewidth=0.6, zorder=0)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)


def _marks(panel: Axes, runs: pd.DataFrame, column: str, look: style.Look, rows: dict[str, float], seeds: int, below: float) -> None:
    """One mark of a column of `repair_runs` a row, so far below the middle of the row."""
    runs = runs[runs["repair"].isin(rows)].dropna(subset=column)
    found = style.mean_of(runs, column, ["repair"], seeds)
    if found.empty:
        return
    for _, of_seed in style.single_seeds(runs[runs["repair"].isin(found["repair"])]):
        style.seed_dots(panel, of_seed[column], of_seed["repair"].map(rows) + below, look)
    bars = [end.clip(lower=0).fillna(0) for end in (found["value"] - found["low"], found["high"] - found["value"])]
    panel.errorbar(
        found["value"], found["repair"].map(rows) + below, xerr=bars, color=look.color, marker=look.marker, markerfacecolor=look.face,
        markersize=3.6, linestyle="none", elinewidth=0.8, capsize=0,
    )  # fmt: skip


def _not_asked(panel: Axes, runs: pd.DataFrame, rows: dict[str, float]) -> None:
    """Says of a repair without a mark for Task 1 that it has none."""
    for name in set(runs.loc[runs["task1"].isna(), "repair"]) & set(rows):
        panel.text(0.97, rows[name] + 0.32, "not asked", color=_TASK1.color, fontsize=7, ha="right", va="center")


def _handles(floor: str | None) -> list[Any]:
    looks = [_TASK0, _CONTROL, _TASK1]
    if floor:
        looks.insert(2, style.arm_look(floor)._replace(label="Task 0, of the model that never had it"))
    marks = [style.line_handle(look.label, look.color, marker=look.marker, markerfacecolor=look.face, linestyle="none") for look in looks]
    return marks + [style.line_handle(f"Task 0, {name}", linestyle=line, **_REFERENCE) for name, line in _LINES.items()]
