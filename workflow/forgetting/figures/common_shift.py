"""Is the collapse one shift that all facts share?

**What it shows.** The change of every answer token from the model before Task 1 to a checkpoint is split into the
mean change of *other* persons at the same attribute and place in the answer (common), which cannot be about
anybody, and the rest. How much of the change is common, and how much of the forgetting.

**How to read it.** *a*, *b*: the share of the squared change that is common, in the logits over the whole
vocabulary, in the logits among the values of the attribute alone (where the answer is decided), and in the
residual stream before the final norm. 0 is what unrelated changes give; grey: the range when each person's change
gets a random sign. Intervals that are not seen are narrower than their marks. *c*, *d*: what either part does to
the answers at step 150, in *c* in the logits over the whole vocabulary. Filled: the checkpoint as it is; open
triangle: without the common part; square: the model
before Task 1 (dashed) with the common part alone. If the common part is the forgetting, triangles reach the dashed
line and squares the filled marks; if it has nothing to do with it, each stays at its own. The end, and where Task
1 was learned, are in the table of this view.

**What to look for.** A large share in *a* beside triangles at their filled marks in *c*: a shift that all answers
share can be most of the change and yet leave the order of the likeliest tokens as it was.

**What would contradict the claim** that the early collapse is a common shift: triangles at the filled marks, and
squares above all at the dashed line, for they add the shift and nothing else. Spaces that disagree say that the
question has no answer that does not depend on where the mean is taken. The rest is not the same as lost knowledge:
what turns or shrinks all states alike differs from person to person and is counted there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import EARLY, END, WORDS
from forgetting.figures import style
from forgetting.statistics import DIFFERENCE, PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 3,
    "inputs": {
        "common_shift": ["viewed"],
    },
}

_GROUPING = "kind_position"


class _Share(NamedTuple):
    """A share of the change: its space and metric in COMMON_SHIFT, its text, its place in the row of an arm, and its mark."""

    space: str
    metric: str
    text: str
    offset: float
    mark: dict[str, Any]


_SHARES = (
    _Share("logits", "common_share", "logits, whole vocabulary (a, b)", -0.22, {"marker": "o"}),
    _Share("logits", "common_share_among_values", "logits, values of the attribute (a, b)", 0.0, {"marker": "D", "markersize": 4}),
    _Share("residual_stream", "common_share", "residual stream (a, b)", 0.22, {"marker": "o", "markerfacecolor": "white"}),
)
_SPACES = {"logits": "all logits", "residual_stream": "residual stream"}
_STATES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "nothing": ("as it is (c, d)", -0.22, {"marker": "v"}),
    "common": ("without the common part (c, d)", 0.0, {"marker": "^", "markerfacecolor": "white"}),
    "rest": ("common part alone (c, d)", 0.22, {"marker": "s", "markerfacecolor": "white"}),
}
"""What is taken away: its text, place in the row of an arm, and mark."""
_BEFORE: dict[str, Any] = {"color": "#1A1A1A", "linewidth": 0.9, "linestyle": (0, (4, 1.5))}
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 4.5, "alpha": 0.4}


def draw(common_shift: pd.DataFrame) -> Figure:
    """Above how much of the change is common, a panel a checkpoint; below what either part does to the accuracy at the early one, a panel a
    space; a row an arm. Frame: COMMON_SHIFT."""
    rows = common_shift[(common_shift["kind"] == "all") & (common_shift["grouping"] == _GROUPING)]
    arms, seeds = style.arm_order(rows["arm"]), rows["seed"].nunique()
    figure, panels = style.new_figure(2, 2, height=2.3 + 0.9 * len(arms), sharex="row", sharey=True)
    for panel, point in zip(panels[0], (EARLY, END), strict=True):
        _shares(panel, rows[rows["point"] == point], arms, seeds)
        panel.set_xlabel("common share of the change")
    for panel, space in zip(panels[1], _SPACES, strict=True):
        _states(panel, rows[(rows["point"] == EARLY) & (rows["space"] == space) & (rows["metric"] == "exact_match")], arms, seeds)
        panel.set_xlabel("Task 0 exact match")
        panel.set_xlim(-0.04, 1.04)
    titles = [f"the change, {WORDS[EARLY]}", "the change, end of Task 1", *(f"{WORDS[EARLY]}, {text}" for text in _SPACES.values())]
    for letter, panel, text in zip("abcd", panels.flat, titles, strict=True):
        style.title(panel, letter, text)
        panel.grid(axis="y", visible=False)
    for panel in panels[:, 0]:
        style.name_arms(panel, arms)
    marks = [(share.text, share.mark) for share in _SHARES]
    marks += [(text, mark) for text, _, mark in _STATES.values()]
    handles = [style.line_handle(text, linestyle="none", **mark) for text, mark in marks]
    handles[3:3] = [style.line_handle("chance (a, b)", **_CHANCE)]
    style.legend(figure, [*handles, style.line_handle("before Task 1 (c, d)", **_BEFORE)], 2)
    style.note(figure, rows, intervals="bars")
    return figure


def _shares(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> None:
    for place, arm in enumerate(arms):
        of_arm, look = rows[rows["arm"] == arm], style.arm_look(arm)
        for share in _SHARES:
            chosen = of_arm[(of_arm["space"] == share.space) & (of_arm["metric"] == share.metric)]
            found = over_seeds(chosen, ["arm"], seeds, kind=DIFFERENCE)
            if found["value"].isna().all():
                continue
            y = place + share.offset
            panel.hlines(y, chosen["chance_low"].min(), chosen["chance_high"].max(), zorder=1, **_CHANCE)
            panel.hlines(y, found["low"], found["high"], color=look.color, linewidth=0.9)
            panel.plot(found["value"], [y], color=look.color, linestyle="none", **share.mark)
    for end in (0, 1):
        panel.axvline(end, color="#8C8C8C", linewidth=0.8, zorder=0)


def _states(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> None:
    found = over_seeds(rows, ["arm", "removed"], seeds, kind=PROPORTION).set_index(["arm", "removed"])
    for place, arm in enumerate(arms):
        color = style.arm_look(arm).color
        for removed, (_, offset, mark) in _STATES.items():
            state = found.loc[(arm, removed)]
            panel.hlines(place + offset, state["low"], state["high"], color=color, linewidth=0.9)
            panel.plot(state["value"], place + offset, color=color, linestyle="none", **mark)
    panel.axvline(found.xs("everything", level="removed")["value"].mean(), zorder=1, **_BEFORE)
