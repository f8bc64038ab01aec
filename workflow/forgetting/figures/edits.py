"""Do the leading directions of the update hold the loss, and not only its length?

**What it shows.** The leading 1, 2, 4 or 8 directions of the update of every matrix of ``seq`` taken away (in all
blocks, or in the attention alone), at the lowest point of the first 150 steps (*a*) and at the end (*b*).
``repairs`` has the repairs of other kinds, ``graft_table`` the numbers.

**How to read it.** Grey line: the straight way back to the weights before Task 1, a tenth of it a mark in *a*; a
repair above the line does better than simply going back. *a*: Task 0 against the squared distance by which the
weights are moved, as a share of that of the whole update, so that half of the straight way is a quarter (of Task 1
nothing is learned there yet). *b*: Task 0 less what the straight way has with as much of Task 1, against what is
left of Task 1. Bars, 95 %: in *a* of the accuracy, in *b* of the difference (paired by person). Crosses, the
controls: random directions of the same length taken away in place of the leading ones. Numbers, at the marks of
all matrices: how many directions; those of attention follow in the same order along their line, from fewer to
more.

**What to look for.** Palit and others (2026) report that the leading direction alone undoes much of the early
loss, and random ones nothing.

**What would contradict the claim.** Leading directions on or below the line, or upon the crosses: then it is the length
that is taken away which counts, and not the direction.
"""

from __future__ import annotations

import matplotlib.patheffects as effects
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import END, TROUGH, WORDS
from forgetting.figures import style
from forgetting.statistics import DIFFERENCE, PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "inputs": {"graft": ["seq"]},
}

_EDITS = {
    "blocks": style.Look("#0072B2", "o", "leading directions, all matrices"),
    "attention": style.Look("#882255", "^", "leading directions, attention", "--"),
}
_WAY = style.Look("#6E6E6E", ".", "straight way back")
_OVER_BARS = [effects.withStroke(linewidth=1.6, foreground="white")]
_KEYS = ["operation", "part", "amount"]


def draw(graft: pd.DataFrame) -> Figure:
    """Frame: GRAFT; of `seq` it is."""
    graft = graft[(graft["arm"] == "seq") & graft["operation"].isin(["none", "start", "interpolation", "edit", "edit_random"])]
    seeds = graft["seed"].nunique()
    graft = graft.assign(amount=graft["amount"].fillna(-1.0))
    known = graft[graft["metric"] == "exact_match"]
    figure, axes = style.new_figure(1, 2, height=3.2)
    early, end = axes[0]

    lowest = known[(known["point"] == TROUGH) & (known["split"] == "task0_test")]
    back = over_seeds(lowest, _KEYS, seeds, kind=PROPORTION).set_index(_KEYS)
    back = back.assign(across=lowest.groupby(_KEYS)["update_share"].mean()).reset_index()
    way = back[~back["operation"].isin(["edit", "edit_random"])].sort_values("across")
    early.plot(way["across"], way["value"], color=_WAY.color, marker=_WAY.marker, markersize=3.5, linewidth=1.0, zorder=1)
    _edits(early, back, (-9, 3))
    early.set(xlabel="share of the squared update taken away", ylabel="Task 0 exact match", xlim=(-0.04, 1.06), ylim=(-0.03, 1.1))

    rest = over_seeds(known[(known["point"] == END) & (known["split"] == "task1")], _KEYS, seeds, kind=PROPORTION)
    beyond = graft[(graft["point"] == END) & (graft["metric"] == "beyond_straight")]
    apart = over_seeds(beyond, _KEYS, seeds, kind=DIFFERENCE)
    end.axhline(0, color=_WAY.color, linewidth=1.0, zorder=1)
    _edits(end, apart.merge(rest[[*_KEYS, "value"]].rename(columns={"value": "across"}), on=_KEYS), (4, 3))
    end.set(xlabel="Task 1 exact match", ylabel="Task 0 beyond straight way,\nat equal Task 1", xlim=(-0.04, 1.06))

    style.title(early, "a", WORDS[TROUGH])
    style.title(end, "b", WORDS[END])
    looks = [*_EDITS.values(), _WAY]
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle=look.line) for look in looks]
    crosses = [
        style.line_handle(look.label.replace("leading", "control: random"), look.color, marker="x", linestyle="none")
        for look in _EDITS.values()
    ]
    style.legend(figure, [*handles, *crosses], columns=2)
    style.note(figure, graft)
    return figure


def _edits(panel: Axes, found: pd.DataFrame, aside: tuple[int, int]) -> None:
    """Column `value` with its interval against `across`: leading directions with their number `aside` (points), random ones as crosses."""
    for part, look in _EDITS.items():
        rows = found[found["part"] == part].sort_values("amount")
        edits, control = (rows[rows["operation"] == name] for name in ("edit", "edit_random"))
        style.error_bars(panel, edits, "across", look, linestyle=look.line, linewidth=0.8, elinewidth=0.8, markersize=4.5, zorder=3)
        style.error_bars(panel, control, "across", look._replace(marker="x"), elinewidth=0.8, markersize=4, zorder=2)
        if part == "blocks":
            for edit in edits.to_dict("records"):
                place = (edit["across"], edit["value"])
                number = panel.annotate(f"{edit['amount']:.0f}", place, aside, textcoords="offset points", fontsize=7, color=look.color)
                number.set(path_effects=_OVER_BARS, zorder=4)
