"""How many known facts repair the others, without training?

**What it shows.** The change that Task 1 made to all answers alike is estimated from persons of
``task0_train`` whose old answers are known, and taken away from the answers about everybody else. Nothing is
trained.

**How to read it.** From left to right: the checkpoint as it is (*none*), the repair with more and more known
facts (six a person, logarithmic axis), and the same checkpoint after one epoch of training on ``task0_train``
(*trained*, where that was measured, on as many facts as the small print says). A thin line keeps the level of
*none* of each arm in sight. Filled marks, solid lines: the common part in the logits. Open marks, dashed lines:
in the residual stream before the final norm. Dashed black: before Task 1. Lines are means over draws of the
known persons.

**What to look for.** Where forgetting is a common shift, the lines rise to the black one with few facts. A line
that ends below its level of *none* does harm. A first point below it is no fault: one person's change is mostly
about that person, so that taking it away from others harms more than it helps.

**What would contradict the claim** that the early collapse is a common shift: a repair that stays at the
level of *none* however many facts are known, while training restores the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY, END, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 4,
    "inputs": {
        "common_shift": ["viewed"],
        "repair": ["viewed"],
        "recovery": ["viewed"],
    },
}

_GROUPING, _COUNTED = "kind_position", "units"
_SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    "logits": ("in the logits", {"linestyle": "-", "linewidth": 1.3}),
    "residual_stream": ("in the residual stream", {"linestyle": "--", "linewidth": 0.9, "markerfacecolor": "white"}),
}
_NOTHING_KNOWN, _TRAINED = 1.2, 1500.0
"""Places on the axis of known facts: the checkpoint as it is, and after one epoch of recovery."""
_LEVEL: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.7, "zorder": 1.2}
_BEFORE: dict[str, Any] = {"color": "#1A1A1A", "linewidth": 0.9, "linestyle": (0, (4, 1.5))}


def draw(common_shift: pd.DataFrame, repair: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """Accuracy of other facts against the number of known ones, early and at the end. Frames: COMMON_SHIFT, COMMON_SHIFT_REPAIR, and
    RECOVERY (an arm without rows there has no mark for training)."""
    arms = style.arm_order(common_shift["arm"])
    figure, panels = style.new_figure(1, 2, height=3.2, sharey=True)
    split = common_shift[common_shift["kind"] == "all"]
    for letter, panel, (point, text) in zip("ab", panels[0], ((EARLY, WORDS[EARLY]), (END, "end of Task 1")), strict=True):
        _repairs(panel, split[split["point"] == point], repair[repair["point"] == point], recovery, arms)
        style.title(panel, letter, text)
    style.accuracy_axis(panels[0, 0], "exact match of other facts")
    handles = style.arm_handles(arms, linestyle="-")
    handles += [style.line_handle(text, marker="o", **line) for text, line in _SPACES.values()]
    style.legend(figure, [*handles, style.line_handle("before Task 1", **_BEFORE)], columns=3)
    trained = facts_trained_on(recovery, len(kinds_of(repair)))
    style.note(figure, common_shift, f"In the residual stream without bands. Known facts: log scale.{trained}")
    return figure


def _repairs(panel: Axes, split: pd.DataFrame, repair: pd.DataFrame, recovery: pd.DataFrame, arms: list[str]) -> None:
    """One checkpoint of every arm: `split` and `repair` hold its rows, `recovery` those of all."""
    seeds = split["seed"].nunique()
    shown = task0_rows(repair.assign(split="task0_test"))
    shown = shown[(shown["counted"] == _COUNTED) & (shown["grouping"] == _GROUPING)]
    shown = shown.assign(facts=shown["known"] * len(kinds_of(repair)))
    whole = split[(split["metric"] == "exact_match") & (split["space"] == "logits") & (split["grouping"] == _GROUPING)]
    ends = ((_NOTHING_KNOWN, whole[whole["removed"] == "nothing"]), (_TRAINED, _trained(split, recovery)))
    for index, arm in enumerate(arms):
        look, beside = style.arm_look(arm), 1.15 ** (index - (len(arms) - 1) / 2)
        for space, (_, line) in _SPACES.items():
            curve = shown[(shown["arm"] == arm) & (shown["space"] == space)]
            style.draw_curve(panel, curve, "facts", look, markers=10, band=space == "logits", **({"markersize": 3.0} | line))
        for place, rows in ends:
            point = over_seeds(rows[rows["arm"] == arm], ["arm"], seeds, kind=PROPORTION).assign(place=place * beside)
            style.error_bars(panel, point, "place", look, markersize=4)
            if place == _NOTHING_KNOWN:
                panel.hlines(point["value"], place, _TRAINED, color=look.color, **_LEVEL)
    before = over_seeds(whole[whole["removed"] == "everything"], ["arm"], seeds, kind=PROPORTION)["value"]
    panel.axhline(before.mean(), zorder=1, **_BEFORE)
    panel.set_xscale("log", base=2)
    ticks = [6, 24, 96, 384]
    panel.set_xticks([_NOTHING_KNOWN, *ticks, _TRAINED], ["none", *map(str, ticks), "trained"])
    panel.set_xlim(_NOTHING_KNOWN / 1.6, _TRAINED * 2)
    panel.minorticks_off()
    panel.set_xlabel("known facts")


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
