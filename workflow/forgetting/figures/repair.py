"""How many known facts repair the others, without training?

**What it shows.** The change that Task 1 made to all answers alike is estimated from persons of ``task0_train``
whose old answers are known, and taken away from the states (the residual stream before the final norm) with which
the model answers about everybody else. Nothing is trained. The same in the logits, which is another question where
the norm comes between, is in the table of this view alone.

**How to read it.** From left to right, with breaks between: the checkpoint as it is (*none*), the repair with more
and more known facts (six a person, logarithmic axis), and the same checkpoint after one epoch of training on
``task0_train`` (*trained*, where that was measured, on as many facts as the small print says). Upwards the
square-root scale opens what lies near 0. A thin line keeps the level of *none* of each arm in sight. Crosses in
the colour of an arm: random shifts of the same lengths in place of the known ones, where they were measured; they
stand side by side to the right of their number of facts. Open pentagon, where it was run: the same epoch of
training from ``seq`` that never had Task 0; the other arms have no such model of their own. Dashed black: before
Task 1. Lines are means over draws of the known persons.

**What to look for.** Where forgetting is a common shift, the lines rise to the black one with few facts. A line
that ends below its level of *none* does harm. A first point below it is no fault: one person's change is mostly
about that person, so that taking it away from others harms more than it helps. Only what lies above the cross is
owed to the known facts, and only what lies above the pentagon is more than the epoch teaches.

**What would contradict the claim** that the early collapse is a common shift: a repair that stays at the level of
*none*, or at its crosses, however many facts are known, while training restores the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY, END, NO_TASK0, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 4,
    "inputs": {
        "common_shift": ["viewed"],
        "repair": ["viewed"],
        "recovery": ["viewed", "without_task0"],
    },
}

_GROUPING, _SPACE = "kind_position", "residual_stream"
_RANDOM: dict[str, Any] = {"marker": "x", "markersize": 4.5, "elinewidth": 0.7, "zorder": 4}
_RIGHT = 1.35
"""By what factor of the facts crosses stand beside the lines."""
_NOTHING_KNOWN, _TRAINED = 1.2, 1500.0
"""Places on the axis of known facts: the checkpoint as it is, and after one epoch of recovery."""
_BREAKS = (2.7, 760.0)
"""Where that axis is broken, to the left and right of the repairs."""
_BREAK: dict[str, Any] = {"color": "#444444", "linestyle": "none", "marker": [(-0.6, -1), (0.6, 1)], "markersize": 7, "clip_on": False}
_LEVEL: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.7, "zorder": 1.2}
_BEFORE: dict[str, Any] = {"color": "#1A1A1A", "linewidth": 0.9, "linestyle": (0, (4, 1.5))}


def draw(common_shift: pd.DataFrame, repair: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """Accuracy of other facts against the number of known ones, early and at the end. Frames: COMMON_SHIFT, COMMON_SHIFT_REPAIR, and
    RECOVERY (an arm without rows there has no mark for training), also of the arm that never had Task 0."""
    arms, seeds = style.arm_order(common_shift["arm"]), common_shift["seed"].nunique()
    floor = f"seq{NO_TASK0}" if f"seq{NO_TASK0}" in set(recovery["arm"]) else None
    figure, panels = style.new_figure(1, 2, height=3.4, sharey=True)
    split = common_shift[common_shift["kind"] == "all"]
    for letter, panel, (point, text) in zip("ab", panels[0], ((EARLY, WORDS[EARLY]), (END, "end of Task 1")), strict=True):
        here = split[split["point"] == point]
        _repairs(panel, here, repair[repair["point"] == point], recovery, arms)
        if floor:
            trained = _trained(here[here["arm"] == "seq"].assign(arm=floor), recovery)
            _mark(panel, trained, _TRAINED * _beside(arms, -1), style.arm_look(floor), seeds)
        style.title(panel, letter, text)
    panels[0, 0].set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    style.accuracy_axis(panels[0, 0], "Task 0 exact match, other persons\n(square-root scale)")
    panels[0, 0].set_ylim(0, 1.03)
    panels[0, 0].set_yticks([0, 0.05, 0.2, 0.4, 0.6, 0.8, 1])
    handles = style.arm_handles(arms, linestyle="-")
    handles.append(style.line_handle("control: random shifts", linestyle="none", marker="x", markersize=4.5))
    if floor:
        handles += style.arm_handles([floor], linestyle="none")
        handles[-1].set_label(f"{handles[-1].get_label()}: trained")
    style.legend(figure, [*handles, style.line_handle("before Task 1", **_BEFORE)], columns=3)
    trained_on = facts_trained_on(recovery, len(kinds_of(repair)))
    style.note(figure, common_shift, f"Known facts: log scale.{trained_on}")
    return figure


def _repairs(panel: Axes, split: pd.DataFrame, repair: pd.DataFrame, recovery: pd.DataFrame, arms: list[str]) -> None:
    """One checkpoint of every arm: `split` and `repair` hold its rows, `recovery` those of all."""
    seeds = split["seed"].nunique()
    shown = _rows(task0_rows(repair.assign(split="task0_test")))
    shown = shown.assign(facts=shown["known"] * len(kinds_of(repair)))
    whole = _rows(split[split["metric"] == "exact_match"])
    ends = ((_NOTHING_KNOWN, whole[whole["removed"] == "nothing"]), (_TRAINED, _trained(split, recovery)))
    for index, arm in enumerate(arms):
        look, of_arm = style.arm_look(arm), shown[shown["arm"] == arm]
        style.draw_curve(panel, of_arm[of_arm["counted"] == "units"], "facts", look, markers=10, markersize=3.0)
        random = over_seeds(of_arm[of_arm["counted"] == "random"], ["facts"], seeds, kind=PROPORTION)
        style.error_bars(panel, random.assign(facts=random["facts"] * _RIGHT * _beside(arms, index)), "facts", look, **_RANDOM)
        for place, rows in ends:
            point = _mark(panel, rows[rows["arm"] == arm], place * _beside(arms, index), look, seeds)
            if place == _NOTHING_KNOWN:
                panel.hlines(point["value"], place, _TRAINED, color=look.color, **_LEVEL)
    before = over_seeds(whole[whole["removed"] == "everything"], ["arm"], seeds, kind=PROPORTION)["value"]
    panel.axhline(before.mean(), zorder=1, **_BEFORE)
    panel.set_xscale("log", base=2)
    ticks = [6, 24, 96, 384]
    panel.set_xticks([_NOTHING_KNOWN, *ticks, _TRAINED], ["none", *map(str, ticks), "trained"])
    panel.set_xlim(_NOTHING_KNOWN / 1.9, _TRAINED * 2.2)
    panel.minorticks_off()
    panel.set_xlabel("known facts")
    panel.plot(_BREAKS, [0, 0], transform=panel.get_xaxis_transform(), **_BREAK)


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the case that is drawn."""
    return table[(table["grouping"] == _GROUPING) & (table["space"] == _SPACE)]


def _beside(arms: list[str], index: int) -> float:
    """By how much a mark stands beside its place, so that alike ones do not hide each other; -1: that of the floor."""
    return float(1.2 ** (index - (len(arms) - 1) / 2))


def _mark(panel: Axes, rows: pd.DataFrame, place: float, look: style.Look, seeds: int) -> pd.DataFrame:
    """One mark of the rows of one arm, which is given back."""
    point = over_seeds(rows, ["arm"], seeds, kind=PROPORTION).assign(place=place)
    style.error_bars(panel, point, "place", look, markersize=4)
    return point


def kinds_of(repair: pd.DataFrame) -> set[str]:
    """The facts of each person."""
    return set(repair["kind"]) - {"all"}


def facts_trained_on(recovery: pd.DataFrame, kinds: int) -> str:
    """How many facts the epoch of training saw, if it was measured."""
    units = _epochs(recovery)["units"].dropna().unique()
    return f" Trained: on {' or '.join(f'{kinds * count:,.0f}' for count in sorted(units))} facts." if len(units) else ""


def _epochs(recovery: pd.DataFrame) -> pd.DataFrame:
    return task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])


def _trained(split: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """Recovery by one epoch of training from the checkpoints of `split`: columns seed, arm, value, low, high."""
    checkpoints = split[["seed", "arm", "step"]].drop_duplicates().rename(columns={"step": "checkpoint"})
    return _epochs(recovery).merge(checkpoints, on=["seed", "arm", "checkpoint"])[["seed", "arm", "value", "low", "high"]]
