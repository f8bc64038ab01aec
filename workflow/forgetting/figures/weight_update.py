"""Angles between the weight updates of the training stages, less what chance gives, beside the ranks of the updates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import over_seeds

PAIRS = {
    ("pretraining", "task0"): "pretraining,\nTask 0",
    ("pretraining", "task1"): "pretraining,\nTask 1",
    ("task0", "task1_early"): "Task 0,\nTask 1 to 150",
    ("task1_early", "task1_late"): "Task 1 to 150,\nTask 1 after 150",
}
_COMPONENTS = {
    "query": "query",
    "key": "key",
    "value": "value",
    "attention_output": "attention out",
    "mlp_input": "MLP in",
    "mlp_output": "MLP out",
}
_EMBEDDINGS = ("embedding", "output_embedding")
_RANKS = {
    "pretraining": ("pretraining", "task0", "former_rank", "#1A1A1A", "P"),
    "Task 0": ("pretraining", "task0", "rank", "#8C8C8C", "o"),
    "Task 1 to 150": ("task0", "task1_early", "rank", "#E69F00", "^"),
    "Task 1 after 150": ("task1_early", "task1_late", "rank", "#CC79A7", "s"),
}


def draw(weights: pd.DataFrame, energy: float) -> Figure:
    """One row an arm; columns: four pairs of updates, then the ranks. Of several seeds the mean is drawn.

    Frame: WEIGHTS. `energy`: the share of an update's squared norm by which its rank was counted.
    """
    arms = style.arm_order(weights["arm"])
    angles = weights[weights["metric"] == "mean_angle"].assign(value=lambda rows: rows["value"] - rows["chance"])
    limit = max(float(np.nanmax(np.abs(angles["value"]))), 1e-6)
    height = 1.5 + len(arms) * max(1.35, 0.13 * weights["layer"].nunique())
    figure, axes = style.new_figure(len(arms), len(PAIRS) + 1, height=height, width_ratios=[1, 1, 1, 1, 1.15])
    for row, arm in zip(axes, arms, strict=True):
        for panel, pair in zip(row, PAIRS, strict=False):
            chosen = angles[(angles["arm"] == arm) & (angles["former"] == pair[0]) & (angles["latter"] == pair[1])]
            _heat_map(panel, layers_by_components(chosen), limit)
            panel.tick_params(labelbottom=arm == arms[-1], labelleft=panel is row[0])
        _ranks(row[-1], weights[weights["arm"] == arm])
        row[0].set_ylabel(f"{style.arm_look(arm).label}\nlayer")
    for panel in axes[:, -1]:
        panel.set_xlim(0, 1.08 * weights.loc[weights["metric"].isin(["rank", "former_rank"]), "value"].max())
    for letter, panel, text in zip("abcde", axes[0], [*PAIRS.values(), "ranks"], strict=True):
        style.title(panel, letter, text)
    axes[-1, -1].set_xlabel(f"directions with {100 * energy:g} %\nof the energy")
    scale = figure.colorbar(axes[0, 0].collections[0], ax=axes[:, : len(PAIRS)], location="bottom", shrink=0.5, aspect=40)
    scale.set_label("mean angle minus chance (degrees); negative: the updates share directions")
    style.legend(
        figure, [style.line_handle(f"{name} (e)", color, marker=marker) for name, (*_, color, marker) in _RANKS.items()], columns=4
    )
    _note(figure, weights)
    return figure


def layers_by_components(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean value over seeds: one row a layer, one column a component. An embedding is one matrix: its value fills its row."""
    table = rows.pivot_table(index="layer", columns="component", values="value", aggfunc="mean", dropna=False)
    blocks = table.reindex(columns=list(_COMPONENTS)).rename(columns=_COMPONENTS)
    embeddings = table.reindex(columns=list(_EMBEDDINGS)).mean(axis=1)
    return blocks.apply(lambda column: column.fillna(embeddings))


def _heat_map(panel: Axes, table: pd.DataFrame, limit: float) -> None:
    names = _layer_names(table.index)
    sns.heatmap(
        table.set_axis(names, axis=0), ax=panel, cmap="vlag", norm=Normalize(-limit, limit), cbar=False, linewidths=0.4, yticklabels=True
    )
    panel.set(xlabel="", ylabel="", facecolor="#D9D9D9")
    panel.grid(visible=False)
    panel.tick_params(length=0, labelsize=6.5)
    panel.tick_params(axis="y", rotation=0)


def _layer_names(layers: pd.Index) -> list[str]:
    return ["input" if layer == layers[0] else "output" if layer == layers[-1] else str(layer) for layer in layers]


def _ranks(panel: Axes, rows: pd.DataFrame) -> None:
    """Mean rank over the components, by layer, in the rows of the heat maps beside it."""
    for former, latter, metric, color, marker in _RANKS.values():
        chosen = rows[(rows["former"] == former) & (rows["latter"] == latter) & (rows["metric"] == metric)]
        by_seed = chosen.groupby(["seed", "layer"], as_index=False)["value"].mean().assign(low=np.nan, high=np.nan)
        merged = over_seeds(by_seed, ["layer"]).sort_values("layer")
        panel.plot(
            merged["value"], merged["layer"] - merged["layer"].min() + 0.5, color=color, marker=marker, linewidth=0.9, markersize=3.5
        )
    panel.set_ylim(rows["layer"].nunique(), 0)
    panel.set_yticks(np.arange(rows["layer"].nunique()) + 0.5, [])


def _note(figure: Figure, weights: pd.DataFrame) -> None:
    seeds = weights["seed"].nunique()
    style.small_print(
        figure,
        ("One seed." if seeds == 1 else f"Mean of {seeds} seeds.") + " Grey: frozen, no update. Rows input and output: the embeddings.",
    )
