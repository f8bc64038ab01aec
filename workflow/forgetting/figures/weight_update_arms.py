"""Does an arm move its weights in other directions than plain fine-tuning?

**What it shows.** Angles between updates, as means over all matrices of the blocks, arm by arm (*b*, *c*: those
of the figure before), and how large the updates are.

**How to read it.** *a* to *c*: one row an arm. Filled: the mean angle between two updates less chance and
less what the former update of the other layers gives. Open: less chance alone. 0 is an unrelated update; to
the left of 0 the two updates share more. *d*: the size of each update beside the weights that it changed,
embeddings included (geometric mean, logarithmic axis). Frozen matrices count nowhere, so an arm that freezes
layers has its mean over the others.

**What to look for.** Arms that forget less and whose updates share less with Task 0 (*b*), or that move less
(*d*). The distance between filled and open marks is what one residual stream explains.

**What would contradict the claim** that an arm forgets less because it leaves the directions of Task 0 alone:
marks of that arm in *b* where those of plain fine-tuning are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.chance import POOLED, against_other_layers, pooled
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 5,
    "inputs": {
        "weights": ["viewed"],
    },
}

PAIRS = {
    ("pretraining", "task1"): "pretraining, Task 1",
    ("task0", "task1_early"): f"Task 0, Task 1 to {EARLY_STEP}",
    ("task1_early", "task1_late"): f"Task 1 to {EARLY_STEP}, the rest",
}
_UPDATES = {("task0", "task1_early"): f"Task 1 to {EARLY_STEP}", ("task1_early", "task1_late"): f"after {EARLY_STEP}"}
_LEVELS: dict[str, tuple[float, dict[str, Any]]] = {
    "less chance and other layers (a-c)": (-0.12, {}),
    "less chance (a-c)": (0.12, {"markerfacecolor": "white"}),
}
"""Text: place in the row of an arm, and how its mark differs."""


def draw(weights: pd.DataFrame) -> Figure:
    """One panel a pair of updates with Task 1, and one of norms; a row an arm. Frame: WEIGHTS."""
    arms = style.arm_order(weights["arm"])
    figure, panels = style.new_figure(2, 2, height=2.0 + 0.5 * len(arms), sharey=True)
    levels = [_means(against_other_layers(weights)), _means(weights)]
    ends = pd.concat(levels)[["value", "low", "high"]].to_numpy(dtype=float)
    low, high = np.nanmin(ends, initial=0), np.nanmax(ends, initial=0)
    margin = 0.06 * (high - low) or 1.0
    for letter, panel, (pair, text) in zip("abc", panels.flat, PAIRS.items(), strict=False):
        for means, (offset, mark) in zip(levels, _LEVELS.values(), strict=True):
            _dots(panel, means[(means["former"] == pair[0]) & (means["latter"] == pair[1])], arms, offset, mark)
        panel.axvline(0, color=style.MODAL_ANSWER, linewidth=0.8, zorder=1)
        panel.set_xlim(low - margin, high + margin)
        panel.set_xlabel("mean angle, less the reference (°)")
        style.title(panel, letter, text)
    _norms(panels[1, 1], weights, arms)
    style.title(panels[1, 1], "d", "size of the update")
    for panel in panels.flat:
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.set_yticks(range(len(arms)), [style.arm_look(arm).label for arm in arms])
        panel.grid(visible=False, axis="y")
    handles = [style.line_handle(text, marker="o", linestyle="none", **mark) for text, (_, mark) in _LEVELS.items()]
    handles += [
        style.line_handle(f"{text} (d)", marker=marker, linestyle="none") for text, marker in zip(_UPDATES.values(), "<>", strict=True)
    ]
    style.legend(figure, handles, 4)
    seeds = weights["seed"].nunique()
    one = "One seed; bars: 95 % t interval over matrices, which are no independent sample."
    style.small_print(figure, one if seeds == 1 else f"Mean of {seeds} seeds; bars: 95 % Student t interval over seeds.")
    return figure


def _means(weights: pd.DataFrame) -> pd.DataFrame:
    """Mean angles less the level of each row, over the matrices of the blocks."""
    means = pooled(weights[(weights["metric"] == "mean_angle")])
    return means[means["component"] == POOLED]


def _dots(panel: Axes, rows: pd.DataFrame, arms: list[str], offset: float, mark: dict[str, Any]) -> None:
    for place, arm in enumerate(arms):
        found, look = rows[rows["arm"] == arm], style.arm_look(arm)
        beyond = np.nan_to_num(np.abs(found[["low", "high"]].to_numpy() - found["value"].to_numpy()[:, None]).T)
        settings: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "elinewidth": 0.9, "markersize": 4.5}
        panel.errorbar(found["value"], [place + offset] * len(found), xerr=beyond, **settings | mark)


def _norms(panel: Axes, weights: pd.DataFrame, arms: list[str]) -> None:
    """|update| / |matrix before|, the geometric mean over the matrices that were updated, embeddings included."""
    for (former, latter), marker, offset in zip(_UPDATES, "<>", (-0.12, 0.12), strict=True):
        chosen = (weights["former"] == former) & (weights["latter"] == latter) & (weights["metric"] == "relative_norm")
        rows = weights[chosen & (weights["value"] > 0)]
        means = np.exp(np.log(rows["value"]).groupby(rows["arm"]).mean()).reindex(arms)
        for place, (arm, mean) in enumerate(means.items()):
            panel.plot(mean, place + offset, color=style.arm_look(str(arm)).color, marker=marker, linestyle="none", markersize=5)
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0.01), max(high, 1))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
    panel.set_xlabel("|update| / |weights|")
