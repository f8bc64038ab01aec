"""What does the cheapest repair without training bring back, and what does it cost of Task 1?

**What it shows.** Repairs of a Task 1 checkpoint of ``seq`` that train nothing, at the lowest point of the first
150 steps (*a*) and at the end (*b*): taking the leading 1, 2, 4 or 8 directions of the update of every matrix
away (in all blocks, or in the attention alone), and putting the same matrices of all blocks back.

**How to read it.** *a*: Task 0 against how far the repair goes: the squared distance by which it moves the
weights, as a share of that of the whole update (of Task 1 nothing is learned there yet). *b*: Task 0 against what
is left of Task 1, so the upper right corner is the best. Line: the straight way back to the weights before Task
1, a tenth of it a mark, so that half of the way is a quarter in *a*; a repair above the line does better than
simply going back. Bars, 95 %: in *a* of the accuracy, in *b* of the difference from that line at equal Task 1
(paired by person), set about the mark; the line outside of a bar of *b* is surely apart. ``graft_table`` has the
numbers. Crosses, the controls: random directions of the same length taken away in place of the leading ones.
Numbers, at the marks of all matrices: how many directions; those of attention follow in the same order along
their line, from fewer to more that is taken away.

**What to look for.** Palit and others (2026) report that the leading direction alone undoes much of the early
loss, and random ones nothing.

**What would contradict the claim.** Leading directions on or below the line, or upon the crosses: then it is the length
that is taken away which counts, and not the direction.
"""

from __future__ import annotations

from typing import Any

import matplotlib.patheffects as effects
import numpy as np
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

_EDITS = {"blocks": ("#0072B2", "o", "leading directions, all matrices"), "attention": ("#882255", "^", "leading directions, attention")}
_LINES = {"blocks": "-", "attention": "--"}
_GROUPS = {
    "query_key": ("#009E73", "D", "queries and keys put back"),
    "value_output": ("#7A6A2F", "s", "values and attention outputs put back"),
    "mlps": ("#D55E00", "v", "MLPs put back"),
    "blocks": ("#1A1A1A", "P", "all blocks put back"),
}
_LINE = "#6E6E6E"
_OVER_BARS = [effects.withStroke(linewidth=1.6, foreground="white")]


def draw(graft: pd.DataFrame) -> Figure:
    """Frame: GRAFT; of `seq` it is."""
    graft = graft[graft["arm"] == "seq"]
    seeds = graft["seed"].nunique()
    figure, axes = style.new_figure(1, 2, height=3.7, sharey=True)
    panels = (
        (axes[0, 0], TROUGH, "update_share", "share of the squared update taken away"),
        (axes[0, 1], END, "task1", "Task 1 exact match"),
    )
    for letter, (panel, point, across, label) in zip("ab", panels, strict=True):
        _panel(panel, both_tasks(graft[graft["point"] == point], seeds), across)
        style.title(panel, letter, WORDS[point])
        panel.set_xlabel(label)
        panel.set_xlim(-0.04, 1.06)
        panel.set_ylim(-0.03, 1.1)
    axes[0, 0].set_ylabel("Task 0 exact match")
    style.legend(figure, _handles(), columns=2)
    runs = f"Means of {seeds} seeds" if seeds > 1 else "One run"
    style.small_print(figure, f"{runs}; bars: 95 %, in a of the accuracy, in b of the difference from the straight way back.")
    return figure


def both_tasks(rows: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """Means over seeds by operation, part, layer and amount (-1 where there is none): exact match of both tasks in columns task0 and task1,
    update_share, the interval of task0 (low, high), and how far that of its difference from the straight way reaches below and above it
    (NaN without one)."""
    keys = ["operation", "part", "layer", "amount"]
    rows = rows.assign(amount=rows["amount"].fillna(-1.0))
    known = rows[rows["metric"] == "exact_match"]
    task0, task1 = (
        over_seeds(known[known["split"] == split], keys, seeds, kind=PROPORTION).set_index(keys) for split in ("task0_test", "task1")
    )
    shares = {"task0": task0["value"], "task1": task1["value"], "update_share": known.groupby(keys)["update_share"].mean()}
    found = pd.DataFrame(shares).dropna().join(task0[["low", "high"]])
    apart = over_seeds(rows[rows["metric"] == "beyond_straight"], keys, seeds, kind=DIFFERENCE).set_index(keys)
    reach = pd.DataFrame({"below": apart["value"] - apart["low"], "above": apart["high"] - apart["value"]})
    return found.join(reach).reset_index()


def _panel(panel: Axes, found: pd.DataFrame, across: str) -> None:
    """Task 0 against the column `across` of `both_tasks`."""
    line = pd.concat([found[found["operation"] == name].sort_values("amount") for name in ("none", "interpolation", "start")])
    panel.plot(line[across], line["task0"], color=_LINE, linewidth=1.0, marker=".", markersize=3.5, zorder=1)
    for part, (color, marker, _) in _EDITS.items():
        edits = found[(found["operation"] == "edit") & (found["part"] == part)].sort_values("amount")
        panel.plot(
            edits[across], edits["task0"], color=color, marker=marker, markersize=4.5, linewidth=0.8, linestyle=_LINES[part], zorder=3
        )
        _bars(panel, edits, across, color)
        control = found[(found["operation"] == "edit_random") & (found["part"] == part)]
        panel.plot(control[across], control["task0"], color=color, marker="x", markersize=4, linestyle="none", zorder=2)
        if part == "blocks":
            for edit in edits.to_dict("records"):
                place = (edit[across], edit["task0"])
                number = panel.annotate(f"{edit['amount']:.0f}", place, (-9, 3), textcoords="offset points", fontsize=7, color=color)
                number.set(path_effects=_OVER_BARS, zorder=4)
    for part, (color, marker, _) in _GROUPS.items():
        back = found[(found["operation"] == "back") & (found["part"] == part)]
        panel.plot(back[across], back["task0"], color=color, marker=marker, markersize=5, linestyle="none", zorder=3)
        _bars(panel, back, across, color)
    for name, text, place in (("none", "as it is", (6, -8)), ("start", "before Task 1", (0, 6))):
        end = found[found["operation"] == name].iloc[0]
        side = "right" if end[across] > 0.5 else "left"
        at = (end[across], end["task0"])
        panel.annotate(text, at, place, textcoords="offset points", fontsize=7, color="#5A5A5A", ha=side)


def _bars(panel: Axes, rows: pd.DataFrame, across: str, color: str) -> None:
    """How sure the marks are: where Task 1 is across, in their difference from the straight way at equal Task 1, else in themselves."""
    if across == "task1":
        rows = rows.dropna(subset=["below", "above"])
        ends = np.minimum([rows["below"], rows["above"]], [rows["task0"], 1 - rows["task0"]])
    else:
        ends = np.abs([rows["low"] - rows["task0"], rows["high"] - rows["task0"]])
    if len(rows):
        panel.errorbar(rows[across], rows["task0"], yerr=ends, color=color, linestyle="none", elinewidth=0.8)


def _handles() -> list[Any]:
    handles = []
    for part, (color, marker, text) in _EDITS.items():
        handles.append(style.line_handle(text, color, marker=marker, linestyle=_LINES[part]))
        handles.append(style.line_handle(text.replace("leading", "control: random"), color, marker="x", linestyle="none"))
    handles.append(style.line_handle("straight way back", _LINE, marker="."))
    return handles + [style.line_handle(text, color, marker=marker, linestyle="none") for color, marker, text in _GROUPS.values()]
