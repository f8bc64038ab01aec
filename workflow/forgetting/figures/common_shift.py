"""Is the collapse one shift that all facts share?

**What it shows.** The change of every answer token from the model before Task 1 to a checkpoint is split into
the mean change of *other* persons at the same attribute and place in the answer (common), which cannot be about
anybody, and the rest. How much of the change is common, and how much of the forgetting.

**How to read it.** *a*, *b*: the share of the squared change that is common, in the logits over the whole
vocabulary, in the logits among the values of the attribute alone (where the answer is decided), and in the
residual stream before the final norm. 0 is what unrelated changes give; grey: the range when each person's
change gets a random sign. Intervals that are not seen are narrower than their marks. *c*, *d*: what either part
does to the answers at step 150, in the logits (filled) and in the residual stream (open). *c* begins at the
checkpoint (upright stroke) and takes the common part away; *d* begins at the model before Task 1 and adds the
common part alone. If the common part is the forgetting, marks in *c* come to the strokes of *d*, and those in *d*
to the strokes of *c*. If it has nothing to do with it, each stays at its own. The end and where Task 1 was
learned are in the table.

**What to look for.** A large share in *a* beside short ways in *c* and *d*: a shift that all answers share can be
most of the change and yet leave the order of the likeliest tokens as it was.

**What would contradict the claim** that the early collapse is a common shift: marks that stay at their
strokes, those in *d* above all, for it adds the shift and nothing else. Spaces that disagree say
that the question has no answer that does not depend on where the mean is taken. The rest is not the same as
lost knowledge: what turns or shrinks all states alike differs from person to person and is counted there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
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
    _Share("logits", "common_share", "logits, whole vocabulary", -0.22, {"marker": "o"}),
    _Share("logits", "common_share_among_values", "logits, values of the attribute (a, b)", 0.0, {"marker": "D", "markersize": 4}),
    _Share("residual_stream", "common_share", "residual stream (open)", 0.22, {"marker": "o", "markerfacecolor": "white"}),
)
_SPACES = {"logits": -0.17, "residual_stream": 0.17}
"""Their places in the row of an arm."""
_MOVES = {
    ("nothing", "common"): "without the common part",
    ("everything", "rest"): "the common part alone",
}
"""What is taken away at the start and the end of a way, and what that leaves."""
_START: dict[str, Any] = {"marker": "|", "markersize": 9, "markeredgewidth": 1.3}
"""Higher than the mark of an end, which it would be hidden by where nothing moves."""
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 4.5, "alpha": 0.4}


def draw(common_shift: pd.DataFrame) -> Figure:
    """Above how much of the change is common, a column a checkpoint; below what either part does to the accuracy early; a row an arm.
    Frame: COMMON_SHIFT."""
    rows = common_shift[(common_shift["kind"] == "all") & (common_shift["grouping"] == _GROUPING)]
    arms, seeds = style.arm_order(rows["arm"]), rows["seed"].nunique()
    figure, panels = style.new_figure(2, 2, height=2.4 + 0.9 * len(arms), sharex="row", sharey=True)
    early = rows[rows["point"] == EARLY]
    for panel, point in zip(panels[0], (EARLY, END), strict=True):
        _shares(panel, rows[rows["point"] == point], arms, seeds)
    for panel, move in zip(panels[1], _MOVES, strict=True):
        _moves(panel, early[early["metric"] == "exact_match"], move, arms, seeds)
    titles = [f"change, {WORDS[EARLY]}", "change, end of Task 1", *_MOVES.values()]
    for letter, panel, text in zip("abcd", panels.flat, titles, strict=True):
        style.title(panel, letter, text)
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.set_yticks(range(len(arms)), [style.arm_look(arm).label for arm in arms])
        panel.grid(axis="y", visible=False)
    for panel in panels[0]:
        panel.set_xlabel("common share of the change")
    for panel in panels[1]:
        panel.set_xlabel(f"Task 0 exact match, {WORDS[EARLY]}")
        panel.set_xlim(-0.04, 1.04)
    handles = [style.line_handle(share.text, linestyle="none", **share.mark) for share in _SHARES]
    handles.append(style.line_handle("chance (a, b)", **_CHANCE))
    handles.append(style.line_handle("c: the checkpoint; d: before Task 1", linestyle="none", **_START))
    style.legend(figure, handles, 2)
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


def _moves(panel: Axes, rows: pd.DataFrame, move: tuple[str, str], arms: list[str], seeds: int) -> None:
    for place, arm in enumerate(arms):
        color = style.arm_look(arm).color
        for space, offset in _SPACES.items():
            chosen = rows[(rows["arm"] == arm) & (rows["space"] == space)]
            found = over_seeds(chosen, ["removed"], seeds, kind=PROPORTION).set_index("removed").reindex(move)
            ends, y = found["value"].to_numpy(), np.full(2, place + offset)
            face: dict[str, Any] = {"markerfacecolor": color if space == "logits" else "white"}
            panel.plot(ends[:1], y[:1], color=color, linestyle="none", **_START)
            panel.hlines(y[1:], found["low"].iloc[1:], found["high"].iloc[1:], color=color, linewidth=0.9)
            panel.plot(ends[1:], y[1:], color=color, marker="o", linestyle="none", **face)
