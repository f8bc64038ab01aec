"""Angles between the weight updates of the stages.

**What it shows.** Whether two stages of training change a weight matrix in the same directions: pretraining
and Task 0, pretraining and Task 1, Task 0 and the first 150 steps of Task 1, and these steps and all later
ones.

**How to read it.** Each cell of a to d is one matrix of one layer (the embeddings fill a row, being one
matrix). Its colour is the mean angle between the leading directions of the later update and the space of
those of the former, *minus what a random update of the same singular values would have*. The raw angle alone
says little: an update of high rank lies near every direction. Blue: the updates share more space than chance.
Red: less. White with a dot: within the middle 95 % of random updates; if nothing were shared, 19 of 20 cells
would be white. Hatched: frozen. Column e has the ranks, the number of directions that hold the energy given
on its axis. The last row has means over all matrices of the blocks (f to i, below their pairs; not the
embeddings, which have no other layers to be held against): of the same angle, of the angle weighted by the
energy of each direction, and of the angle between the few leading directions of both alone; the grey bars at
zero are what as many random updates would give, the black strokes what the former update of the *other*
layers gives: no more than being written to the same residual stream. Panel j has the size of each update
beside the weights it changed, embeddings included.

**What to look for.** Which pair is farthest from chance, and where: whether Task 0 and the first steps of
Task 1 share more than pretraining and Task 0 do, in the lower layers and the embedding above all, and whether
the later steps turn away from the first ones (red cells). An angle tells shared directions, not their sign:
the cosine of the same table does.

**What would contradict the claim.** Cells that are white throughout: the angles would then be explained by
the ranks. Marks on the black strokes: then what is shared is the shape of the residual stream, in which any
two updates meet and of which a random update knows nothing. The same pattern in all four pairs: then nothing
is special about the first 150 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from forgetting.analysis.chance import EMBEDDINGS, POOLED, less_chance, mean_excess, pooled
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style
from forgetting.statistics import RATIO, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 3,
    "inputs": {
        "weights": ["viewed"],
    },
    "options": {"energy": "views.energy"},
}

PAIRS = {
    ("pretraining", "task0"): "pretraining,\nTask 0",
    ("pretraining", "task1"): "pretraining,\nTask 1",
    ("task0", "task1_early"): f"Task 0,\nTask 1 to {EARLY_STEP}",
    ("task1_early", "task1_late"): f"Task 1 to {EARLY_STEP},\nTask 1 after {EARLY_STEP}",
}
_COMPONENTS = {
    "query": "query",
    "key": "key",
    "value": "value",
    "attention_output": "attention out",
    "mlp_gate": "MLP gate",
    "mlp_input": "MLP in",
    "mlp_output": "MLP out",
}
# Even the smallest difference has a colour: white is left to what is within chance.
_COLORS = ListedColormap(colormaps["RdBu_r"](np.concatenate([np.linspace(0, 0.4, 128), np.linspace(0.6, 1, 128)])), "no_white")
_FROZEN: dict[str, Any] = {"facecolor": "#E3E3E3", "edgecolor": "#B5B5B5", "hatch": "////", "linewidth": 0.0}
_CHANCE = "#C4C4C4"
_OTHER_LAYERS: dict[str, Any] = {"marker": "|", "markersize": 6, "markeredgewidth": 1.0}


class _Update(NamedTuple):
    """How an update is drawn, and the pair of which it is the latter."""

    former: str
    latter: str
    color: str
    marker: str


_PRETRAINING = _Update("pretraining", "task0", "#1A1A1A", "P")
_LATTER = {
    "Task 0": _Update("pretraining", "task0", "#8C8C8C", "o"),
    f"Task 1 to {EARLY_STEP}": _Update("task0", "task1_early", "#E69F00", "^"),
    f"Task 1 after {EARLY_STEP}": _Update("task1_early", "task1_late", "#CC79A7", "s"),
}
_ANGLES: dict[str, tuple[str, dict[str, Any]]] = {
    "mean_angle": ("mean angle", {"marker": "o", "markersize": 4.5}),
    "weighted_angle": ("weighted by energy", {"marker": "o", "markersize": 4.5, "markerfacecolor": "white"}),
    "principal_angle": ("leading directions alone", {"marker": "D", "markersize": 3.2}),
}
_OFFSETS = dict(zip(_ANGLES, (-0.24, 0.0, 0.24), strict=True))


def draw(weights: pd.DataFrame, energy: float) -> Figure:
    """One row an arm, a column for each pair of updates and one for the ranks; in the last row means over all matrices of the blocks,
    and norms.

    Frame: WEIGHTS. `energy`: the share of an update's squared norm by which its rank was counted.
    """
    arms = style.arm_order(weights["arm"])
    row_height, last_height = max(1.2, 0.12 * weights["layer"].nunique()), 0.7 + 0.22 * len(arms)
    figure, axes = style.new_figure(
        len(arms) + 1,
        len(PAIRS) + 1,
        height=2.5 + len(arms) * row_height + last_height,
        width_ratios=[1, 1, 1, 1, 1.15],
        height_ratios=[*[row_height] * len(arms), last_height],
    )
    cells = mean_excess(
        less_chance(weights[weights["metric"] == "mean_angle"]), ["arm", "former", "latter", "layer", "component"]
    ).set_index(["arm", "former", "latter"])
    norm = Normalize(*np.array([-1, 1]) * max(float(cells["value"].abs().max()), 1e-6))
    layers = pd.Index(sorted(weights["layer"].unique()))
    for row, arm in zip(axes, arms, strict=False):
        for panel, pair in zip(row, PAIRS, strict=False):
            chosen = cells.loc[[(arm, *pair)]] if (arm, *pair) in cells.index else cells.iloc[:0]
            _heat_map(panel, chosen, layers, norm)
            panel.tick_params(labelbottom=arm == arms[-1], labelleft=panel is row[0])
        _ranks(row[-1], weights[weights["arm"] == arm])
        row[0].set_ylabel(f"{style.arm_look(arm).label}\nlayer")
    _rank_axes(axes[:-1, -1], weights, energy)
    _means(axes[-1], weights, arms)
    titles = [*PAIRS.values(), "ranks", *["all matrices\nof the blocks"] * len(PAIRS), "norms"]
    for letter, panel, text in zip("abcdefghij", [*axes[0], *axes[-1]], titles, strict=True):
        style.title(panel, letter, text)
    _color_scale(figure, axes[:-1, : len(PAIRS)], norm)
    _legend(figure)
    _note(figure, weights)
    return figure


def layers_by_components(rows: pd.DataFrame, column: str, layers: pd.Index) -> pd.DataFrame:
    """One row a layer, one column a component. An embedding is one matrix: its value fills its row."""
    table = rows.pivot(index="layer", columns="component", values=column).reindex(layers)
    there = [component for component in _COMPONENTS if component in set(rows["component"])]
    blocks = table.reindex(columns=there).rename(columns=_COMPONENTS).astype(float)
    embeddings = table.reindex(columns=list(EMBEDDINGS)).astype(float).mean(axis=1)
    return blocks.apply(lambda components: components.fillna(embeddings))


def _heat_map(panel: Axes, cells: pd.DataFrame, layers: pd.Index, norm: Normalize) -> None:
    """Coloured where outside the range of chance, white with a dot inside; what has no angle shows the ground."""
    values, sides = (layers_by_components(cells, column, layers) for column in ("value", "side"))
    look = {"cbar": False, "linewidths": 0.4, "yticklabels": _layer_names(layers)}
    sns.heatmap(values, mask=values.isna() | (sides == 0), ax=panel, cmap=_COLORS, vmin=norm.vmin, vmax=norm.vmax, **look)
    inside = sides.to_numpy() == 0
    sns.heatmap(sides, mask=~inside, ax=panel, cmap=["white"], vmin=0, vmax=1, **look)
    rows, columns = np.nonzero(inside)
    panel.plot(columns + 0.5, rows + 0.5, linestyle="none", marker=".", markersize=2.5, color="#777777")
    panel.set(xlabel="", ylabel="")
    panel.patch.set(**_FROZEN)
    panel.grid(visible=False)
    panel.tick_params(length=0, labelsize=6.5)
    panel.tick_params(axis="y", rotation=0)


def _layer_names(layers: pd.Index) -> list[str]:
    return ["input" if layer == layers[0] else "output" if layer == layers[-1] else str(layer) for layer in layers]


def _ranks(panel: Axes, rows: pd.DataFrame) -> None:
    """Mean rank over the components, by layer, in the rows of the heat maps beside it."""
    for update in (_PRETRAINING, *_LATTER.values()):
        metric = "former_rank" if update is _PRETRAINING else "rank"
        by_seed = _of(rows, update, metric).groupby(["seed", "layer"], as_index=False)["value"].mean().assign(low=np.nan, high=np.nan)
        merged = over_seeds(by_seed, ["layer"], kind=RATIO).sort_values("layer")
        height = merged["layer"] - rows["layer"].min() + 0.5
        panel.plot(merged["value"], height, color=update.color, marker=update.marker, linewidth=0.9, markersize=3.5)


def _rank_axes(panels: np.ndarray, weights: pd.DataFrame, energy: float) -> None:
    layers = weights["layer"].nunique()
    most = weights.loc[weights["metric"].isin(["rank", "former_rank"]), "value"].max()
    for panel in panels:
        panel.set(xlim=(0, 1.08 * most), ylim=(layers, 0))
        panel.set_yticks(np.arange(layers) + 0.5, [])
        panel.tick_params(labelbottom=panel is panels[-1])
    panels[-1].set_xlabel(f"directions with {100 * energy:g} %\nof the energy")


def _means(row: np.ndarray, weights: pd.DataFrame, arms: list[str]) -> None:
    """Means over all matrices of the blocks, arm by arm: three angles less chance for each pair, and the norms of the updates."""
    means = pooled(weights)
    means = means[(means["component"] == POOLED) & means["metric"].isin(list(_ANGLES))]
    ends = means[["value", "low", "high", "chance_low", "chance_high"]].to_numpy()
    margin = 0.06 * (np.nanmax([0, np.nanmax(ends, initial=0)]) - np.nanmin(ends, initial=0)) or 1.0
    for panel, (former, latter) in zip(row, PAIRS, strict=False):
        of_pair = means[(means["former"] == former) & (means["latter"] == latter)]
        for place, arm in enumerate(arms):
            _three_angles(panel, of_pair[of_pair["arm"] == arm], place, style.arm_look(arm).color)
        panel.axvline(0, color=style.MODAL_ANSWER, linewidth=0.7, zorder=1)
        panel.set_xlim(np.nanmin(ends, initial=0) - margin, np.nanmax(ends, initial=0) + margin)
        panel.set_xlabel("minus chance (°)")
    _norms(row[-1], weights, arms)
    for panel in row:
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.set_yticks(range(len(arms)), [style.arm_look(arm).label for arm in arms])
        panel.tick_params(labelleft=panel is row[0])
        panel.grid(visible=False, axis="y")


def _three_angles(panel: Axes, rows: pd.DataFrame, place: int, color: str) -> None:
    for metric, (_, look) in _ANGLES.items():
        found = rows[rows["metric"] == metric].assign(y=place + _OFFSETS[metric])
        for y, low, high in found[["y", "chance_low", "chance_high"]].itertuples(index=False):
            panel.plot([low, high], [y, y], color=_CHANCE, linewidth=5, solid_capstyle="butt", zorder=1.5)
        panel.plot(found["other_layers"], found["y"], linestyle="none", color="#1A1A1A", **_OTHER_LAYERS)
        beyond = np.nan_to_num(np.abs(found[["low", "high"]].to_numpy() - found["value"].to_numpy()[:, None]).T)
        panel.errorbar(found["value"], found["y"], xerr=beyond, linestyle="none", color=color, elinewidth=0.9, **look)


def _norms(panel: Axes, weights: pd.DataFrame, arms: list[str]) -> None:
    """|update| / |matrix before|, the geometric mean over the matrices that were updated, embeddings included."""
    for update in _LATTER.values():
        rows = _of(weights, update, "relative_norm")
        rows = rows[rows["value"] > 0]
        means = np.exp(np.log(rows["value"]).groupby(rows["arm"]).mean()).reindex(arms)
        panel.plot(means, range(len(arms)), color=update.color, marker=update.marker, linestyle="none", markersize=4.5)
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0.01), max(high, 1))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
    panel.set_xlabel("|update| / |weights|")


def _of(rows: pd.DataFrame, update: _Update, metric: str) -> pd.DataFrame:
    return rows[(rows["former"] == update.former) & (rows["latter"] == update.latter) & (rows["metric"] == metric)]


def _color_scale(figure: Figure, panels: np.ndarray, norm: Normalize) -> None:
    scale = figure.colorbar(ScalarMappable(norm, _COLORS), ax=panels, location="bottom", shrink=0.6, aspect=45, pad=0.025)
    scale.set_label("mean angle minus chance (degrees); negative: the updates share more space than chance")


def _legend(figure: Figure) -> None:
    updates = [style.line_handle("pretraining (e)", _PRETRAINING.color, marker=_PRETRAINING.marker)]
    updates += [style.line_handle(f"{name} (e, j)", update.color, marker=update.marker) for name, update in _LATTER.items()]
    angles: list[Artist] = [style.line_handle(f"{text} (f-i)", linestyle="none", **look) for text, look in _ANGLES.values()]
    angles.append(Patch(color=_CHANCE, label="chance, middle 95 % (f-i)"))
    angles.append(style.line_handle("former update of other layers (f-i)", "#1A1A1A", linestyle="none", **_OTHER_LAYERS))
    style.legend(figure, [*updates, *angles], columns=3)


def _note(figure: Figure, weights: pd.DataFrame) -> None:
    seeds = weights["seed"].nunique()
    what = (
        "One seed; bars: 95 % t interval over matrices, which are no independent sample."
        if seeds == 1
        else f"Mean of {seeds} seeds; bars: 95 % Student t interval over seeds."
    )
    style.small_print(
        figure,
        f"{what} Chance: the later update with random left singular vectors. White with a dot: within its middle 95 %, as one in twenty "
        "random updates would not be. Hatched: frozen, no update. Rows input and output: the embeddings, which f to i leave out.",
    )
