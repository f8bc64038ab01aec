"""Do the data support the paper's propositions? One verdict an arm, checkpoint and statistic, by rules written beside it. (No torch.)

All statistics are about `task0_test` questions. With several seeds the interval is Student's t over seeds; with one it is over layers,
maps or units, as each statistic says. Layers and maps of one model are no independent sample of anything, and units asked of one run
say nothing of the next, which differs more than they do: of one seed it is told on which side of chance it is, and no proposition is
supported or refuted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forgetting.intervals import Interval, Z
from forgetting.statistics import CORRELATION, RATIO, UNBOUNDED, Kind, normal_interval, over_seeds, t_interval

SPLIT = "task0_test"
STREAM = "stream"
"""Component of the rows on the residual stream."""
NO_FREEZE = "seq"
_FREEZE = re.compile(r"freeze-(\d+)")


class Statistic(NamedTuple):
    """What a proposition says about one number: `expected` below or above chance, or nothing.

    basis: what the interval is over with a single seed; where nothing is expected, why. kind: of number.
    """

    proposition: int
    name: str
    expected: str
    basis: str
    kind: Kind

    @property
    def rule(self) -> str:
        if not self.expected:
            return f"not tested: {self.basis}"
        other = "above" if self.expected == "below" else "below"
        return (
            f"over several seeds: yes if their 95 % interval is {self.expected} chance, no if it is {other}, else undecided; "
            f"of one run only where its interval over {self.basis} is"
        )


_LAYERS, _MAPS = (f"{parts} (no independent sample)" for parts in ("layers", "maps"))
PREMISE = Statistic(1, "update on leading inputs / chance", "below", _LAYERS, RATIO)
SINGLE = Statistic(1, "single output shifts along leading outputs / chance", "below", _LAYERS, RATIO)
MEAN = Statistic(1, "mean output shift along leading outputs / chance", "below", _LAYERS, RATIO)
STREAM_SINGLE = Statistic(1, "single shifts of the last layer along its leading components / chance", "below", "persons", RATIO)
STREAM_MEAN = Statistic(1, "mean shift of the last layer along its leading components / chance", "below", "persons", RATIO)
DOSE = Statistic(1, "rank correlation over maps of update on leading inputs and shift along leading outputs", "above", _MAPS, CORRELATION)
DEPTH = Statistic(2, "rank correlation of shift length with layer", "", "the residual stream itself grows with depth", CORRELATION)
RELATIVE_DEPTH = Statistic(2, "rank correlation of shift / spread with layer", "above", "persons", CORRELATION)
REDUCTION = Statistic(3, "shift of the last layer / that of seq", "below", "persons", RATIO)
SLOPE = Statistic(3, "slope over n of the last layer's shift / that of seq", "below", "persons", UNBOUNDED)
BOUND_SLOPE = Statistic(3, "slope over n of the bound of seq / its shift", "", "what the measured slope is held against", UNBOUNDED)


_OF_MAPS = {PREMISE: "update_on_leading_inputs", SINGLE: "single_shifts_along", MEAN: "mean_shift_along"}
_OF_LAST_LAYER = {STREAM_SINGLE: "single_shifts_along", STREAM_MEAN: "mean_shift_along"}
_CORRELATIONS = {DEPTH: "depth_correlation", RELATIVE_DEPTH: "relative_depth_correlation"}
_Row = tuple[str, Statistic, Interval, float]
"""Arm, statistic, number, chance."""


def theory_verdicts(theory: pd.DataFrame) -> pd.DataFrame:
    """Rows of THEORY_VERDICTS from rows of THEORY of any arms and seeds. Proposition 3 needs `seq`, its slopes two freeze arms besides."""
    rows = []
    for (scale, seed, after), frame in theory[theory["split"] == SPLIT].groupby(["scale", "seed", "after"], sort=False):
        measured = [*_of_arms(frame), *_of_freezing(frame)]
        rows += [(scale, seed, arm, after, statistic, *number, chance) for arm, statistic, number, chance in measured]
    named = pd.DataFrame(rows, columns=["scale", "seed", "arm", "after", "of", "value", "low", "high", "chance"])
    seeds = theory["seed"].nunique()
    keys = ["scale", "arm", "after", "of", "chance"]
    kinds = dict.fromkeys(statistic.kind for statistic in named["of"])
    by_kind = [over_seeds(named[[of.kind == kind for of in named["of"]]], keys, seeds, kind=kind) for kind in kinds]
    merged = pd.concat([named.iloc[:0][[*keys, "value", "low", "high"]], *by_kind], ignore_index=True)
    return merged.assign(
        proposition=[statistic.proposition for statistic in merged["of"]],
        statistic=[statistic.name for statistic in merged["of"]],
        supported=[
            supported(statistic.expected, Interval(*number), chance, seeds)
            for statistic, chance, *number in merged[["of", "chance", "value", "low", "high"]].itertuples(index=False)
        ],
        rule=[statistic.rule for statistic in merged["of"]],
    ).drop(columns="of")


def supported(expected: str, number: Interval, chance: float, seeds: int) -> str:
    """yes, no or undecided, by whether the interval is on the expected side of chance; `not tested` when none is expected.

    With one seed: `in this run: above`, `below` or `open`, which is where the interval is, and no answer.
    """
    if not expected:
        return "not tested"
    below, above = number.high < chance, number.low > chance
    if seeds == 1:
        return f"in this run: {'below' if below else 'above' if above else 'open'}"
    if not (below or above):
        return "undecided"
    return "yes" if below == (expected == "below") else "no"


def _of_arms(frame: pd.DataFrame) -> Iterator[_Row]:
    """Propositions 1 and 2 for every arm of one seed and checkpoint. With a layer that did not move, as frozen ones, there is no
    correlation with depth, since its zero is there by construction."""
    for arm, rows in frame.groupby("arm", sort=False):
        maps, stream = rows[rows["component"] != STREAM], rows[rows["component"] == STREAM]
        for statistic, metric in _OF_MAPS.items():
            if len(chosen := maps[maps["metric"] == metric]):
                yield str(arm), statistic, ratio_to_chance(chosen), 1.0
        last = stream[stream["layer"] == stream["layer"].max()]
        for statistic, metric in _OF_LAST_LAYER.items():
            for row in last[last["metric"] == metric].itertuples():
                yield str(arm), statistic, Interval(row.value / row.chance, row.low / row.chance, row.high / row.chance), 1.0
        if (pairs := dose_pairs(rows)) is not None and len(pairs) > 3:
            yield str(arm), DOSE, rank_correlation(*pairs.to_numpy().T), 0.0
        if (stream.loc[(stream["metric"] == "shift_norm") & (stream["layer"] > 0), "value"] == 0).any():
            continue
        for statistic, metric in _CORRELATIONS.items():
            for row in last[last["metric"] == metric].itertuples():
                yield str(arm), statistic, Interval(row.value, row.low, row.high), 0.0


def ratio_to_chance(rows: pd.DataFrame) -> Interval:
    """Mean share over mean chance (of each layer over its maps, then over layers), with a t interval over the layers.

    Neither a mean of logarithms, which a random share does not meet, nor a mean of ratios, which a layer with hardly any chance would rule.
    """
    layers = rows.groupby("layer")[["value", "chance"]].mean()
    return t_interval(layers["value"] / layers["chance"].mean(), RATIO)


def dose_pairs(rows: pd.DataFrame) -> pd.DataFrame | None:
    """By map: share of the update on the leading inputs, and of the single shifts along the leading outputs, each over chance."""
    maps = rows[rows["component"] != STREAM]
    metrics = ["update_on_leading_inputs", "single_shifts_along"]
    if not set(metrics) <= set(maps["metric"]):
        return None
    ratio = maps.assign(ratio=maps["value"] / maps["chance"])
    return ratio.pivot_table(index=["layer", "component"], columns="metric", values="ratio")[metrics].dropna()


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
    """Spearman's correlation with Fisher's interval, standard error sqrt((1 + r^2 / 2) / (n - 3)) (Bonett and Wright 2000)."""
    value = float(pd.Series(first).corr(pd.Series(second), method="spearman"))
    half = Z * np.sqrt((1 + value**2 / 2) / (len(first) - 3))
    centre = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    return Interval(value, float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def freeze_depth(arm: str) -> int | None:
    """n of the arm freeze-n; None for other arms."""
    found = _FREEZE.fullmatch(arm)
    return int(found[1]) if found else None


def _of_freezing(frame: pd.DataFrame) -> Iterator[_Row]:
    """Proposition 3 for one seed and checkpoint: every freeze arm against `seq`, and the slope over n.

    An arm that freezes all layers is left out: its last layer cannot move.
    """
    stream = frame[frame["component"] == STREAM]
    last = stream[(stream["metric"] == "shift_norm") & (stream["layer"] == stream["layer"].max())].set_index("arm")
    if NO_FREEZE not in last.index or not last.loc[NO_FREEZE, "value"]:
        return
    unit = float(last.loc[NO_FREEZE, "value"])
    depth = {arm: n for arm in last.index if (n := freeze_depth(arm)) is not None and n < stream["layer"].max()}
    shifts = last.loc[list(depth), ["value", "low", "high"]] / unit
    unit_error = (last.loc[NO_FREEZE, "high"] - last.loc[NO_FREEZE, "low"]) / (2 * Z * unit)
    errors = ((shifts["high"] - shifts["low"]) / (2 * Z)).to_numpy()
    for (arm, value), error in zip(shifts["value"].items(), errors, strict=True):
        low, high = normal_interval(value, np.hypot(error, value * unit_error), RATIO)
        yield str(arm), REDUCTION, Interval(value, float(low), float(high)), 1.0
    if len(shifts) < 2:
        return
    depths = np.array(list(depth.values()), dtype=float)
    yield "freeze", SLOPE, slope(depths, shifts["value"].to_numpy(), errors), 0.0
    bound = stream[(stream["metric"] == "bound_if_frozen") & (stream["arm"] == NO_FREEZE)].set_index("layer")["value"] / unit
    fitted = slope(depths, bound.loc[depths.astype(int)].to_numpy(), np.full(len(depths), np.nan))
    yield "freeze", BOUND_SLOPE, fitted, 0.0


def slope(x: NDArray[np.float64], y: NDArray[np.float64], errors: NDArray[np.float64]) -> Interval:
    """Least-squares slope of y on x, with the normal interval that standard `errors` of y give if they are independent.

    Arms are asked the same questions, so their errors are alike rather than independent, which makes the interval too wide, not too narrow.
    """
    weights = (x - x.mean()) / np.square(x - x.mean()).sum()
    value, half = float(weights @ y), Z * float(np.sqrt(np.square(weights) @ np.square(errors)))
    return Interval(value, value - half, value + half)
