"""How much more, or less, space two updates share than chance: rows of WEIGHTS less their chance levels, averaged. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forgetting.statistics import UNBOUNDED, over_seeds, t_interval

POOLED = "all"
"""Component of the rows over all matrices of the blocks."""
EMBEDDINGS = ("embedding", "output_embedding")
"""Components that are one matrix each, so that there are no other layers to hold them against."""
_ROUNDING = 1e-3
"""Two updates of full rank are at 0 degrees from each other, and so are random ones, up to the rounding of an arccosine near 1."""


def less_chance(weights: pd.DataFrame) -> pd.DataFrame:
    """The rows of WEIGHTS that have a value and a chance level, with the latter taken off `value`, `chance_low` and `chance_high`."""
    rows = weights.dropna(subset=["value", "chance"])
    return rows.assign(**{name: rows[name] - rows["chance"] for name in ("value", "chance_low", "chance_high")})


def against_other_layers(weights: pd.DataFrame) -> pd.DataFrame:
    """WEIGHTS in which the level to take off is what the former update of the *other* layers gives, in place of chance: all layers write to
    one residual stream, in which any two updates meet, and only what is beyond that is the layer's own. Rows without other layers (the
    embeddings, and metrics that are no angles) have no level, and no range of chance is known of any."""
    return weights.assign(chance=weights["chance"] + weights["other_layers"], chance_low=np.nan, chance_high=np.nan)


def mean_excess(excess: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Means of `less_chance` rows over matrices or seeds: columns `by`, value, chance_low, chance_high, side, one row a combination.

    chance_low, chance_high: the middle 95 % of such a mean if all updates were random; those of several are independent, so its width
    adds up in quadrature. side: -1 below that range, 1 above it, 0 inside. Of a single row all of this is its own.
    """
    squares = excess.assign(chance_low=excess["chance_low"] ** 2, chance_high=excess["chance_high"] ** 2)
    grouped = squares.groupby(list(by), sort=False, observed=True)
    found = grouped.agg(value=("value", "mean"), low=("chance_low", "sum"), high=("chance_high", "sum"), n=("value", "size")).reset_index()
    found = found.assign(chance_low=-np.sqrt(found["low"]) / found["n"], chance_high=np.sqrt(found["high"]) / found["n"])
    outside = (found["value"] > found["chance_high"] + _ROUNDING).astype(int) - (found["value"] < found["chance_low"] - _ROUNDING)
    return found.assign(side=outside)[[*by, "value", "chance_low", "chance_high", "side"]]


def pooled(weights: pd.DataFrame) -> pd.DataFrame:
    """Mean over matrices of number minus chance, by arm, pair of updates, component (each one, and `all`) and metric, from WEIGHTS.

    `all` are those of the blocks, so that value and other_layers are means over the same matrices; the embeddings have their own rows.
    value, low, high: the mean, over seeds with Student's t interval; with one seed the interval is over matrices, which are no independent
    sample (NaN for a single one). chance_low, chance_high: as in `mean_excess`. other_layers: mean over matrices and seeds. matrices,
    below, above: how many there are, and how many are below and above their own range of chance, means over seeds. Frozen matrices count
    in none of these. Angles in degrees.
    """
    keys = ["scale", "arm", "former", "latter", "component", "metric"]
    seeds = weights["seed"].nunique()
    excess = less_chance(weights)
    sides = mean_excess(excess, ["seed", "layer", *keys])
    single = excess.merge(sides[["seed", "layer", *keys, "side"]], on=["seed", "layer", *keys])
    of_blocks = single[~single["component"].isin(EMBEDDINGS)]
    both = pd.concat([single, of_blocks.assign(component=POOLED)], ignore_index=True)
    rows = [(*key, *t_interval(values)) for key, values in both.groupby(["seed", *keys], sort=False)["value"]]
    merged = over_seeds(pd.DataFrame(rows, columns=["seed", *keys, "value", "low", "high"]), keys, seeds, kind=UNBOUNDED)
    chance = mean_excess(both, keys).drop(columns=["value", "side"])
    others = both.groupby(keys)["other_layers"].mean().reset_index()
    counts = both.assign(matrices=1, below=both["side"] < 0, above=both["side"] > 0).groupby(keys)[["matrices", "below", "above"]].sum()
    return merged.merge(chance, on=keys).merge(others, on=keys).merge((counts / seeds).reset_index(), on=keys)
