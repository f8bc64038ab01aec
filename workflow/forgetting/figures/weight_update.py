"""Do two stages change the same directions of the same layer?

**What it shows.** For each matrix of each block, the mean angle between the leading directions of the later
update and the space of those of the former: less what a random update of the same singular values would
have, and less what the former update of the *other* layers gives. *a*, the baseline: two stretches of pretraining.
Beside it, less the baseline of the same matrix: pretraining and Task 0 (*b*), Task 0 and the first 150 steps of
Task 1 (*c*), and these steps and all later ones (*d*). Of the first arm; the others are in the next figure.

**How to read it.** 0 (white) is in *a* what any two layers have in common, because all of them write to one
residual stream and see the same frequent tokens; in *b* to *d* it is what two stretches of pretraining share. Blue:
the two updates of this matrix share more than that. Orange: less. The scale shows only what occurs. With several
seeds a dot marks cells whose 95 % interval over seeds holds 0, if any does. Hatched: frozen. Layers are counted
from 1, the first block. The embeddings have no other layers and are in the table of weights alone. Without two
stretches of pretraining *b* to *d* have no baseline taken off.

**What to look for.** Whether Task 0 and the first steps of Task 1 (*c*) share more than two stretches of
pretraining do, in the lower layers above all, and whether the later steps (*d*) turn away. An angle tells shared
directions, not their sign: the cosine of the same table does.

**What would contradict the claim.** White or orange cells in *c*: any two stretches of training share as much. The same
pattern in *c* and *d*: then nothing is special about the first 150 steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from forgetting.analysis.chance import against_other_layers, less_chance
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style
from forgetting.statistics import UNBOUNDED, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 4,
    "inputs": {
        "weights": ["viewed"],
    },
}

PAIRS = {
    ("pretraining_earlier", "pretraining"): "two stretches of pretraining",
    ("pretraining", "task0"): "pretraining vs Task 0",
    ("task0", "task1_early"): f"Task 0 vs Task 1 to {EARLY_STEP}",
    ("task1_early", "task1_late"): f"Task 1 to {EARLY_STEP} vs the rest",
}
_COMPONENTS = {
    "query": "query",
    "key": "key",
    "value": "value",
    "attention_output": "attn. out",
    "mlp_gate": "MLP gate",
    "mlp_input": "MLP in",
    "mlp_output": "MLP out",
}
_COLORS = LinearSegmentedColormap.from_list("shared", ["#5B9BD0", "#FFFFFF", "#E69F00"])
"""So light at its ends that dark numbers can be read on all of it."""
_NUMBERED = 12
"""Most layers whose cells have their numbers written in."""
_FROZEN: dict[str, Any] = {"facecolor": "#E3E3E3", "edgecolor": "#8C8C8C", "hatch": "////", "linewidth": 0.0}


def draw(weights: pd.DataFrame) -> Figure:
    """One panel a pair of updates, a row a layer, a column a component. Frame: WEIGHTS; its first arm is drawn."""
    arm = style.arm_order(weights["arm"])[0]
    blocks = weights[(weights["arm"] == arm) & weights["component"].isin(list(_COMPONENTS)) & (weights["metric"] == "mean_angle")]
    cells, layers = differences(blocks), pd.Index(sorted(blocks["layer"].unique()))
    has_baseline = _is_baseline(cells).any()
    components = [name for name in _COMPONENTS if name in set(blocks["component"])]
    figure, panels = style.new_figure(2, 2, height=2.2 + 2 * max(1.0, 0.16 * len(layers)), sharex=True, sharey=True)
    largest = np.nanmax(cells["value"].abs(), initial=1e-6)
    norm = Normalize(-largest, largest)
    for letter, panel, (pair, text) in zip("abcd", panels.flat, PAIRS.items(), strict=True):
        of_pair = cells[(cells["former"] == pair[0]) & (cells["latter"] == pair[1])]
        _heat_map(panel, of_pair, layers, components, norm)
        style.title(panel, letter, f"{text}, less a" if has_baseline and letter != "a" else text)
    for panel in panels[:, 0]:
        panel.set_ylabel("layer")
    scale = figure.colorbar(ScalarMappable(norm, _COLORS), ax=panels, location="bottom", shrink=0.7, aspect=40, pad=0.03)
    low, high = np.nanmin(cells["value"], initial=0), np.nanmax(cells["value"], initial=0)
    if low < high:
        scale.ax.set_xlim(low, high)
    baseline = "; in b to d less that of a, too" if has_baseline else ""
    scale.set_label(f"angle, less chance and other layers (degrees){baseline}\nnegative: more in common")
    seeds = weights["seed"].nunique()
    mark = "dot: the" if _holds_nothing(cells["low"], cells["high"]).any() else "no"
    what = "One seed." if seeds == 1 else f"Mean of {seeds} seeds; {mark} 95 % interval over seeds holds 0."
    style.small_print(figure, f"Arm {style.arm_look(arm).label}. {what}")
    return figure


def differences(blocks: pd.DataFrame) -> pd.DataFrame:
    """Angle less chance less other layers of each matrix, over seeds: former, latter, layer, component, value, low, high. Of all PAIRS but
    the first it is less that of the first, of the same matrix and seed, too, where there is such a baseline."""
    rows = less_chance(against_other_layers(blocks)).assign(low=np.nan, high=np.nan)
    rows = rows[pd.MultiIndex.from_frame(rows[["former", "latter"]]).isin(list(PAIRS))]
    of_baseline, matrix = _is_baseline(rows), ["seed", "layer", "component"]
    if of_baseline.any():
        beside = rows[matrix].merge(rows.loc[of_baseline, [*matrix, "value"]], on=matrix, how="left")["value"].to_numpy()
        rows = rows.assign(value=rows["value"] - np.where(of_baseline, 0, beside))
    by = ["former", "latter", "layer", "component"]
    return over_seeds(rows, by, blocks["seed"].nunique(), kind=UNBOUNDED)


def _is_baseline(rows: pd.DataFrame) -> pd.Series:
    former, latter = next(iter(PAIRS))
    return (rows["former"] == former) & (rows["latter"] == latter)


def _holds_nothing(low: Any, high: Any) -> Any:
    """Whether an interval holds 0; none that is unknown does."""
    return (low <= 0) & (high >= 0)


def _heat_map(panel: Axes, cells: pd.DataFrame, layers: pd.Index, names: list[str], norm: Normalize) -> None:
    """What has no angle shows the ground."""
    values, low, high = (_table(cells, column, layers, names) for column in ("value", "low", "high"))
    look: dict[str, Any] = {"cbar": False, "linewidths": 0.4, "cmap": _COLORS, "vmin": norm.vmin, "vmax": norm.vmax}
    labels: dict[str, Any] = {"xticklabels": [_COMPONENTS[name] for name in names], "yticklabels": [str(layer) for layer in layers]}
    sns.heatmap(
        values,
        mask=values.isna(),
        ax=panel,
        annot=values.map("{:z.1f}".format) if len(layers) <= _NUMBERED else None,
        fmt="",
        annot_kws={"size": 7, "color": "#1A1A1A"},
        **look,
        **labels,
    )
    rows, columns = np.nonzero(_holds_nothing(low, high).to_numpy())
    dot: dict[str, Any] = {"marker": "o", "markersize": 3.2, "color": "#333333", "markeredgecolor": "white", "markeredgewidth": 0.5}
    panel.plot(columns + 0.85, rows + 0.8, linestyle="none", **dot)  # with an edge, to be seen on dark cells; beside the number
    panel.set(xlabel="", ylabel="")
    panel.patch.set(**_FROZEN)
    panel.grid(visible=False)
    panel.tick_params(length=0)
    panel.tick_params(axis="x", rotation=60)
    panel.tick_params(axis="y", rotation=0)


def _table(cells: pd.DataFrame, column: str, layers: pd.Index, names: list[str]) -> pd.DataFrame:
    return cells.pivot(index="layer", columns="component", values=column).reindex(index=layers, columns=names).astype(float)
