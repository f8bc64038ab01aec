"""Intervals over seeds, and of differences between runs: within the bounds of each kind of number, and with a width at them.

All intervals are 95 %. No function here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from forgetting.intervals import CONFIDENCE, Floats, Interval, Z, wilson


class Kind(NamedTuple):
    """The kind of a number: where its values end, so that no interval reaches beyond."""

    low: float
    high: float


PROPORTION = Kind(0, 1)
CORRELATION = Kind(-1, 1)
DIFFERENCE = Kind(-1, 1)
"""Of two proportions."""
RATIO = Kind(0, np.inf)
"""A ratio of positive numbers, or one such number."""
UNBOUNDED = Kind(-np.inf, np.inf)
_ROUNDING = 1e-6


def t_interval(values: ArrayLike, kind: Kind = UNBOUNDED) -> Interval:
    """Mean over independent replicates with Student's t interval; NaN ends for a single replicate, and where all are equal, which says
    nothing of how they vary. NaN values are left out. Within the bounds of `kind`, see `over_seeds`."""
    sample = np.asarray(values, dtype=float)
    return mean_over_seeds(sample[~np.isnan(sample)], kind)


def mean_over_seeds(
    values: ArrayLike, kind: Kind, lows: ArrayLike | None = None, highs: ArrayLike | None = None, comparisons: int = 1
) -> Interval:
    """Mean of one number over seeds with its interval, as `over_seeds` has it; all NaN where a value is.

    lows, highs: the interval of each seed over its units. comparisons: so many such intervals hold together with 95 % (Bonferroni).
    """
    sample = np.asarray(values, dtype=float)
    if not sample.size or np.isnan(sample).any():
        return Interval(np.nan, np.nan, np.nan)
    below, above = (np.full(sample.shape, np.nan) if ends is None else np.asarray(ends, dtype=float) for ends in (lows, highs))
    # Summing equal numbers rounds, and what varies by rounding does not vary.
    spread = 0.0 if np.ptp(sample) == 0 else (float(sample.std(ddof=1)) if sample.size > 1 else np.nan)
    mean = float(sample[0]) if spread == 0 else float(sample.mean())
    units = _of_units(sample - below), _of_units(above - sample)
    low, high = _ends(np.array([mean]), np.array([spread]), np.array([sample.size]), *units, kind, comparisons)
    return Interval(mean, float(low[0]), float(high[0]))


def over_seeds(frame: pd.DataFrame, by: Sequence[str], seeds: int | None = None, *, kind: Kind) -> pd.DataFrame:
    """One row for each combination of `by`, with columns `by`, value, low, high.

    With several values in column `seed`: mean over the seeds and its interval, for the combinations that every seed has; NaN where the
    value of a seed is, since those that are left are no sample of all. With one seed the rows keep their interval (that of the units).
    `seeds`: how many there are in the study, for a frame from which rows were taken out, since what is left may know of fewer.

    The interval is Student's t, on the scale on which a number of this `kind` has no bounds: the logit of a proportion, Fisher's z of a
    correlation or a difference of proportions, the logarithm of a ratio. The standard error goes there by its derivative at the mean
    (delta method), so that the interval is one of the mean, and a seed at a bound does no harm. It is at least as wide as the intervals of
    the seeds over their units (low, high) make the mean of them, as if all seeds had the same truth (MOVER, Zou and Donner 2008): few
    seeds may agree by chance, at a bound above all, and a mean is no surer for it. Seeds that all agree without intervals get none.
    """
    by = list(by)
    seeds = frame["seed"].nunique() if seeds is None else seeds
    if seeds <= 1:
        return frame[[*by, "value", "low", "high"]].sort_values(by, ignore_index=True)
    below, above = ((frame["value"] - frame[end]) if end in frame else pd.Series(np.nan, frame.index) for end in ("low", "high"))
    squares = frame[[*by, "value"]].assign(below=below**2, above=above**2)
    grouped = squares.groupby(by, observed=True)
    rows = grouped["value"].agg(["mean", "std", "count", "size", "min", "max"]).reset_index()
    units = {end: np.sqrt(grouped[end].sum(min_count=seeds).to_numpy(dtype=float)) / seeds for end in ("below", "above")}
    rows = rows.assign(**units)
    rows = rows[rows["size"] == seeds]
    equal = (rows["min"] == rows["max"]).to_numpy()
    known = (rows["count"] == seeds).to_numpy()
    value = np.where(known, np.where(equal, rows["min"], rows["mean"]), np.nan)
    spread = np.where(equal, 0.0, rows["std"])
    low, high = _ends(value, spread, np.full(len(rows), seeds), rows["below"].to_numpy(), rows["above"].to_numpy(), kind)
    return rows.assign(value=value, low=low, high=high)[[*by, "value", "low", "high"]].reset_index(drop=True)


def normal_interval(value: ArrayLike, error: ArrayLike, kind: Kind) -> tuple[Floats, Floats]:
    """Ends of the normal interval of numbers with a standard error, within the bounds of their kind; NaN where the error is 0 or NaN, or
    the number at a bound."""
    numbers, errors = np.asarray(value, dtype=float), np.asarray(error, dtype=float)
    return _around(numbers, Z * np.where(errors > 0, errors, np.nan), kind)


def paired_difference(first: ArrayLike, second: ArrayLike, answers: int) -> Interval:
    """Mean of `first` minus mean of `second`, shares of right answers of the same units (each (units,), of so many `answers` a unit).

    The interval is normal, on the scale of Fisher's z. Its variance is that between units with two more of them, who differ by one
    answer, one each way (after Agresti and Min 2005): where nobody differs, so many units still do not show that nobody would. Where
    everybody differs in everything, it comes from the Wilson intervals of both.
    """
    both = [np.asarray(values, dtype=float) for values in (first, second)]
    differences = both[0] - both[1]
    value = float(differences.mean())
    if abs(value) == 1:
        low, high = difference_ends(share_of_units(both[0]), share_of_units(both[1]))
    else:
        more = np.append(differences, [1 / answers, -1 / answers])
        low, high = map(float, normal_interval(value, more.std(ddof=1) / np.sqrt(len(more)), DIFFERENCE))
    return Interval(value, max(low, -1.0), min(high, 1.0))  # beyond by rounding only


def difference_ends(first: Interval, second: Interval) -> tuple[float, float]:
    """Ends of an interval of the difference of two independent numbers, from theirs (MOVER, Zou and Donner 2008); NaN where theirs are.

    Too wide where the numbers rise and fall together, as those of the same units do.
    """
    difference = first.value - second.value
    below = float(np.hypot(first.value - first.low, second.high - second.value))
    above = float(np.hypot(first.high - first.value, second.value - second.low))
    return difference - below, difference + above


def share_of_units(shares: Floats) -> Interval:
    """Mean of the units' shares (units,), with Wilson's interval at the size that their variance gives, at least their number."""
    mean = float(shares.mean())
    variance = float(shares.var(ddof=1)) / len(shares) if len(shares) > 1 else np.nan
    effective = mean * (1 - mean) / variance if variance > 0 else np.nan
    effective = len(shares) if np.isnan(effective) else max(effective, len(shares))
    low, high = wilson(mean * effective, effective)
    return Interval(mean, float(low), float(high))


def _of_units(beyond: Floats) -> Floats:
    """How far the mean of seeds reaches on one side by their units alone, (1,), given how far each seed does."""
    return np.array([np.sqrt(np.square(beyond).sum()) / len(beyond)])


def _ends(
    mean: Floats, spread: Floats, seeds: NDArray[np.integer], below: Floats, above: Floats, kind: Kind, comparisons: int = 1
) -> tuple[Floats, Floats]:
    """Ends of intervals of means over seeds, all (n,): their means and standard deviations, and how far they reach by the units alone
    (NaN: not known). A spread of 0 is none that is known. Raises ValueError for a mean beyond the bounds of `kind`."""
    if len(outside := mean[(mean < kind.low - _ROUNDING) | (mean > kind.high + _ROUNDING)]):
        raise ValueError(f"a mean over seeds of {outside[0]:g} is no number from {kind.low:g} to {kind.high:g}")
    tail = 1 - (1 - CONFIDENCE) / 2 / comparisons
    degrees = np.where(seeds > 1, seeds - 1.0, np.nan)
    half = stdtrit(degrees, tail) * np.where(spread > 0, spread, np.nan) / np.sqrt(seeds)
    low, high = _around(mean, half, kind)
    wider = NormalDist().inv_cdf(tail) / Z
    low, high = (
        np.fmin(low, mean - _stretched(below, wider, mean - kind.low)),
        np.fmax(high, mean + _stretched(above, wider, kind.high - mean)),
    )
    return np.maximum(low, kind.low), np.minimum(high, kind.high)  # beyond by rounding only


def _around(mean: Floats, half: Floats, kind: Kind) -> tuple[Floats, Floats]:
    """mean -+ half, on the scale on which a number of this kind has no bounds: `half` goes there by the derivative at the mean, and the
    ends come back. NaN for a mean at a bound."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if np.isfinite(kind.low) and np.isfinite(kind.high):
            width = kind.high - kind.low
            share = (mean - kind.low) / width
            odds, reach = share / (1 - share), np.exp(half / width / (share * (1 - share)))
            return kind.low + width / (1 + reach / odds), kind.low + width / (1 + 1 / (reach * odds))
        if np.isfinite(kind.low):
            reach = np.exp(half / (mean - kind.low))
            return kind.low + (mean - kind.low) / reach, kind.low + (mean - kind.low) * reach
    return mean - half, mean + half


def _stretched(reach: Floats, factor: float, room: Floats) -> Floats:
    """`reach` times `factor`, less where there is little room: of a reach that leaves a share of the room, that share to the power."""
    if factor == 1 or not np.isfinite(room).all():
        return factor * reach
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0, room * (1 - np.clip(1 - reach / room, 0, 1) ** factor), 0.0)
