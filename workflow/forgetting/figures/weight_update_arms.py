"""Does an arm move its weights in other directions than plain fine-tuning?

**What it shows.** Angles between updates, as means over the matrices of the blocks, arm by arm, and how large
the updates are. *a*: the late part of pretraining and the whole of Task 1. *b*, *c*: pairs of the figure before.

**How to read it.** All arms are averaged over the same layers, those that every arm shown trains: an arm that
freezes blocks leaves them out of the others, too. *a* to *c*: one row an arm. Filled: the mean angle between two
updates less chance and less what the former update of the other layers gives. Open: less chance alone. 0 is an
unrelated update; to the left of 0 the two updates share more. Grey lines: two stretches of pretraining in the
same layers, dashed for filled marks and dotted for open ones. Pale dots: the single matrices, or of several
seeds the mean of each. *d*: the size of each update beside the weights that it changed, in the same layers
(geometric mean, logarithmic axis). Means are over matrices of several kinds, whose dots may lie apart.

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

from forgetting.analysis.chance import EMBEDDINGS, POOLED, against_other_layers, less_chance, pooled
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style
from forgetting.statistics import UNBOUNDED, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 5,
    "inputs": {
        "weights": ["viewed"],
    },
}

PAIRS = {
    ("pretraining", "task1"): "late pretraining vs Task 1",
    ("task0", "task1_early"): f"Task 0 vs Task 1 to {EARLY_STEP}",
    ("task1_early", "task1_late"): f"Task 1 to {EARLY_STEP} vs the rest",
}
_BASELINE = ("pretraining_earlier", "pretraining")
_UPDATES = {("task0", "task1_early"): f"Task 1 to {EARLY_STEP}", ("task1_early", "task1_late"): f"after {EARLY_STEP}"}
_LEVELS: dict[str, tuple[float, dict[str, Any], str]] = {
    "less chance and other layers (a-c)": (-0.18, {}, "--"),
    "less chance (a-c)": (0.18, {"markerfacecolor": "white"}, ":"),
}
"""Text: place in the row of an arm, how its mark differs, and the line of the baseline."""
_DOT: dict[str, Any] = {"marker": "o", "markersize": 2.2, "markeredgewidth": 0, "alpha": 0.35, "linestyle": "none", "zorder": 1.4}


def draw(weights: pd.DataFrame) -> Figure:
    """One panel a pair of updates with Task 1, and one of norms; a row an arm. Frame: WEIGHTS."""
    arms = style.arm_order(weights["arm"])
    seeds, layers = weights["seed"].nunique(), shared_layers(weights)
    shown = pd.MultiIndex.from_frame(weights[["former", "latter"]]).isin([_BASELINE, *PAIRS])
    weights = weights[shown & weights["layer"].isin(layers) & ~weights["component"].isin(EMBEDDINGS)]
    figure, panels = style.new_figure(2, 2, height=2.0 + 0.5 * len(arms), sharey=True)
    levels = [(_means(rows, seeds), _matrices(rows)) for rows in (against_other_layers(weights), weights)]
    ends = pd.concat([rows for both in levels for rows in both])[["value", "low", "high"]].to_numpy(dtype=float)
    low, high = np.nanmin(ends, initial=0), np.nanmax(ends, initial=0)
    margin = 0.06 * (high - low) or 1.0
    for letter, panel, (pair, text) in zip("abc", panels.flat, PAIRS.items(), strict=False):
        for both, (offset, mark, line) in zip(levels, _LEVELS.values(), strict=True):
            means, matrices = (_of_pair(rows, pair) for rows in both)
            _marks(panel, means, matrices, arms, offset, mark)
            for baseline in _of_pair(both[0], _BASELINE)["value"].head(1):
                panel.axvline(baseline, color=style.MODAL_ANSWER, linewidth=1.0, linestyle=line, zorder=1)
        panel.axvline(0, color=style.MODAL_ANSWER, linewidth=0.8, zorder=1)
        panel.set_xlim(low - margin, high + margin)
        panel.set_xlabel("← shared    angle, less reference (°)")
        style.title(panel, letter, text)
    _norms(panels[1, 1], weights, arms)
    style.title(panels[1, 1], "d", "size of the update")
    for panel in panels.flat:
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.set_yticks(range(len(arms)), [style.arm_look(arm).label for arm in arms])
        panel.grid(visible=False, axis="y")
    handles = [style.line_handle(text, marker="o", linestyle="none", **mark) for text, (_, mark, _) in _LEVELS.items()]
    handles += [
        style.line_handle(f"{text} (d)", marker=marker, linestyle="none") for text, marker in zip(_UPDATES.values(), "x+", strict=True)
    ]
    if len(_of_pair(levels[0][0], _BASELINE)):
        handles += [
            style.line_handle(f"two stretches of pretraining, {text}", style.MODAL_ANSWER, linewidth=1.0, linestyle=line)
            for text, (_, _, line) in zip(("as filled", "as open"), _LEVELS.values(), strict=True)
        ]
    style.legend(figure, handles, 4)
    spread = "One seed, so no intervals." if seeds == 1 else f"Mean of {seeds} seeds; bars: 95 % Student t interval over seeds."
    blocks = f"{layers[0]} to {layers[-1]}" if len(layers) > 1 else ", ".join(map(str, layers)) or "none"
    style.small_print(figure, f"{spread} Pale dots: single matrices. All are of the blocks that every arm trains: {blocks}.")
    return figure


def _of_pair(rows: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    return rows[(rows["former"] == pair[0]) & (rows["latter"] == pair[1])]


def shared_layers(weights: pd.DataFrame) -> list[int]:
    """The blocks that every arm trains in Task 1, but for arms that train none."""
    angles = weights[
        (weights["metric"] == "mean_angle") & weights["latter"].str.startswith("task1") & ~weights["component"].isin(EMBEDDINGS)
    ]
    trained = [set(rows["layer"]) for _, rows in angles.dropna(subset="value").groupby("arm")]
    return sorted(set.intersection(*trained)) if trained else []


def _matrices(weights: pd.DataFrame) -> pd.DataFrame:
    """Angle less the level of each row, the mean over seeds."""
    excess = less_chance(weights[weights["metric"] == "mean_angle"])
    return excess.groupby(["arm", "former", "latter", "layer", "component"], as_index=False)["value"].mean()


def _means(weights: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """The mean of those over the matrices. Its interval over those of one seed, which are no independent sample, is left out."""
    means = pooled(weights[weights["metric"] == "mean_angle"])
    means = means[means["component"] == POOLED]
    return means if seeds > 1 else means.assign(low=np.nan, high=np.nan)


def _marks(panel: Axes, means: pd.DataFrame, matrices: pd.DataFrame, arms: list[str], offset: float, mark: dict[str, Any]) -> None:
    for place, arm in enumerate(arms):
        found, look = means[means["arm"] == arm], style.arm_look(arm)
        single = matrices.loc[matrices["arm"] == arm, "value"]
        panel.plot(single, np.full(len(single), place + offset), color=look.color, **_DOT)
        settings: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "elinewidth": 0.9, "markersize": 4.5}
        panel.errorbar(found["value"], [place + offset] * len(found), xerr=style.beyond(found), **settings | mark)


def _norms(panel: Axes, weights: pd.DataFrame, arms: list[str]) -> None:
    """|update| / |matrix before|, the geometric mean over the matrices."""
    for (former, latter), marker, offset in zip(_UPDATES, "x+", (-0.12, 0.12), strict=True):
        chosen = (weights["former"] == former) & (weights["latter"] == latter) & (weights["metric"] == "relative_norm")
        rows = weights[chosen & (weights["value"] > 0)]
        logs = rows.assign(value=np.log(rows["value"])).groupby(["seed", "arm"], as_index=False)["value"].mean()
        means = over_seeds(logs.assign(low=np.nan, high=np.nan), ["arm"], rows["seed"].nunique(), kind=UNBOUNDED).set_index("arm")
        for place, (arm, found) in enumerate(np.exp(means[["value", "low", "high"]]).reindex(arms).iterrows()):
            settings: dict[str, Any] = {"color": style.arm_look(str(arm)).color, "marker": marker, "linestyle": "none", "markersize": 5}
            panel.errorbar([found["value"]], [place + offset], xerr=style.beyond(found.to_frame().T), elinewidth=0.9, **settings)
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0.01), max(high, 1))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
    panel.set_xlabel("|update| / |weights|")
