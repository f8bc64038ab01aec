"""Do the leading directions of the update hold the loss, and not only its length?

**What it shows.** The leading 1, 2, 4 or 8 directions of the update of every matrix of ``seq`` taken away (in all
blocks, or in the attention alone), at the lowest point of the first 150 steps (*a*) and at the end (*b*).
``repairs`` has the repairs of other kinds, ``graft_table`` the numbers.

**How to read it.** Grey: the straight way back to the weights before Task 1, in *a* a tenth of it a mark; a repair
above it does better than simply going back. *a*: Task 0 against the squared distance by which the weights are moved, as
a share of that of the whole update, so that half of the straight way is a quarter (of Task 1 nothing is learned there
yet). *b*: Task 0 less what the straight way has with as much of Task 1, so that nothing is won by giving Task 1 up. Bars
and band, 95 %: in *a* of the accuracy, in *b* of the difference, paired by person. Crosses, the controls: random
directions of the same length taken away in place of the leading ones. Numbers in *a*: how many directions; those of
attention follow in the same order along their line.

**What to look for.** Palit and others (2026) report that the leading direction alone undoes much of the early
loss, and random ones nothing.

**What would contradict the claim.** Leading directions on or below the line, or upon the crosses: then it is the length
that is taken away which counts, and not the direction.
"""

from __future__ import annotations

from typing import Any

import matplotlib.patheffects as effects
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import END, TROUGH, WORDS
from forgetting.figures import style
from forgetting.statistics import DIFFERENCE, PROPORTION, Kind, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "inputs": {"graft": ["seq"]},
}

_PARTS = {"blocks": "all matrices", "attention": "attention"}
_EDITS = {
    ("blocks", "edit"): style.Look("#0072B2", "o", f"leading directions, {_PARTS['blocks']}"),
    ("blocks", "edit_random"): style.Look("#0072B2", "x", f"control: random directions, {_PARTS['blocks']}", "none"),
    ("attention", "edit"): style.Look("#882255", "^", f"leading directions, {_PARTS['attention']}", "--"),
    ("attention", "edit_random"): style.Look("#882255", "x", f"control: random directions, {_PARTS['attention']}", "none"),
}
"""Part and operation of GRAFT: how it is drawn."""
_WAY = style.Look("#6E6E6E", ".", "straight way back")
_MARK: dict[str, Any] = {"markersize": 4, "linewidth": 0.8, "elinewidth": 0.8}
_OVER_BARS = [effects.withStroke(linewidth=1.6, foreground="white")]


def draw(graft: pd.DataFrame) -> Figure:
    """Frame: GRAFT; of `seq` it is."""
    graft = graft[(graft["arm"] == "seq") & graft["operation"].isin(["none", "start", "interpolation", "edit", "edit_random"])]
    seeds = graft["seed"].nunique()
    graft = graft.assign(amount=graft["amount"].fillna(-1.0))
    lowest = graft[(graft["point"] == TROUGH) & (graft["metric"] == "exact_match") & (graft["split"] == "task0_test")]
    beyond = graft[(graft["point"] == END) & (graft["metric"] == "beyond_straight")]
    figure, axes = style.new_figure(1, 2, height=3.2)
    _lowest(axes[0, 0], _taken_away(lowest, seeds, PROPORTION))
    style.title(axes[0, 0], "a", WORDS[TROUGH])
    _end(axes[0, 1], _taken_away(beyond, seeds, DIFFERENCE))
    style.title(axes[0, 1], "b", WORDS[END])
    looks = [*(_EDITS[part, "edit"] for part in _PARTS), _WAY, *(_EDITS[part, "edit_random"] for part in _PARTS)]
    style.legend(figure, [style.line_handle(look.label, look.color, marker=look.marker, linestyle=look.line) for look in looks], columns=2)
    style.note(figure, graft)
    return figure


def _taken_away(rows: pd.DataFrame, seeds: int, kind: Kind) -> pd.DataFrame:
    """Over the seeds, by operation, part and amount, with the mean of update_share."""
    keys = ["operation", "part", "amount"]
    found = over_seeds(rows, keys, seeds, kind=kind).set_index(keys)
    return found.assign(update_share=rows.groupby(keys)["update_share"].mean()).reset_index().sort_values("amount")


def _lowest(panel: Axes, found: pd.DataFrame) -> None:
    way = found[~found["operation"].isin(["edit", "edit_random"])].sort_values("update_share")
    panel.plot(way["update_share"], way["value"], color=_WAY.color, marker=_WAY.marker, markersize=3.5, linewidth=1.0, zorder=1)
    panel.fill_between(way["update_share"], way["low"], way["high"], color=_WAY.color, alpha=0.16, linewidth=0)
    for (part, operation), look in _EDITS.items():
        rows = found[(found["part"] == part) & (found["operation"] == operation)]
        style.error_bars(panel, rows, "update_share", look, **_MARK | {"linestyle": look.line})
        if (part, operation) == ("blocks", "edit"):
            for row in rows.to_dict("records"):
                place = (row["update_share"], row["value"])
                number = panel.annotate(f"{row['amount']:.0f}", place, (-9, 3), textcoords="offset points", fontsize=7, color=look.color)
                number.set(path_effects=_OVER_BARS, zorder=4)
    panel.set(xlabel="share of the squared update taken away", ylabel="Task 0 exact match", xlim=(-0.04, 1.06), ylim=(-0.03, 1.1))


def _end(panel: Axes, found: pd.DataFrame) -> None:
    """A place for each number of directions, in which all marks stand side by side."""
    numbers = sorted(found["amount"].unique())
    panel.axhline(0, color=_WAY.color, linewidth=1.0, zorder=1)
    for ((part, operation), look), beside in zip(_EDITS.items(), 2 * style.side_by_side(len(_EDITS)), strict=True):
        rows = found[(found["part"] == part) & (found["operation"] == operation)]
        style.error_bars(panel, rows.assign(place=rows["amount"].map(numbers.index) + beside), "place", look, **_MARK)
    panel.set_xticks(range(len(numbers)), [f"{number:.0f}" for number in numbers])
    panel.set(xlabel="directions taken away", ylabel="Task 0 beyond straight way,\nat equal Task 1")
