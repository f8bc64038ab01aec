"""Intervals for proportions and means of questions that come in clusters (a person's six questions are not independent), and over seeds.

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

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""Quantiles at the ends of an interval."""
Z = NormalDist().inv_cdf(TAILS[1])
PROPORTIONS = ("exact_match", "first_token_hard")
MEANS = ("first_token_soft", "answer_nll")

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def wilson(successes: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Lower and upper end of the Wilson score interval of `successes` out of `n`; both may be arrays, and need not be whole numbers."""
    count = np.asarray(n, dtype=float)
    share = np.asarray(successes, dtype=float) / count
    centre = share + Z**2 / (2 * count)
    half = Z * np.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    scale = 1 + Z**2 / count
    return np.clip((centre - half) / scale, 0, 1), np.clip((centre + half) / scale, 0, 1)


def clustered_wilson(values: ArrayLike, clusters: ArrayLike) -> Interval:
    """Mean of 0/1 `values` with a Wilson interval for clustered answers.

    The interval is Wilson's at the effective sample size p (1 - p) / v, where v is the cluster-robust variance of the mean. That size is
    kept between the number of clusters and the number of values, and is the number of clusters when all values are equal. `clusters` names
    the cluster (the person) of each value.
    """
    if not len(np.asarray(values)):
        raise ValueError("clustered_wilson needs at least one value")
    moments = _Moments.of_rows(values, clusters)
    return Interval(*(float(number) for number in (moments.mean, *moments.proportion_interval())))


def clustered_mean(values: ArrayLike, clusters: ArrayLike) -> Interval:
    """Mean of `values` (n,) with a normal interval from the cluster-robust variance (NaN for a single cluster)."""
    moments = _Moments.of_rows(values, clusters)
    return Interval(*(float(number) for number in (moments.mean, *moments.normal_interval())))


def mean_and_error(values: ArrayLike, weights: ArrayLike, clusters: ArrayLike) -> tuple[Floats, Floats]:
    """sum(values) / sum(weights) over the last axis, and its standard error when whole clusters are drawn (NaN for a single cluster).

    The error is that of a ratio of cluster totals, linearised. values: (..., n); weights, clusters: (n,).
    """
    moments = _Moments.of_rows(values, clusters, weights)
    return moments.mean, np.sqrt(moments.variance)


def summarise(facts: pd.DataFrame, keys: Sequence[str] = ()) -> pd.DataFrame:
    """Means of all metrics by group and attribute, with intervals clustered by person.

    `facts` has columns `keys`, person, group, attribute and the four metrics (as the FACTS table). Returned are rows with columns `keys`,
    group, attribute (each one, and "all" for the micro-average), metric, value, n (questions), low, high. Proportions carry
    `clustered_wilson` intervals, the other metrics a normal interval with the cluster-robust variance (NaN for a single person).
    """
    metrics = [*PROPORTIONS, *MEANS]
    index = [*keys, "group", "attribute"]
    answers = facts[[*index, "person", *metrics]].astype(dict.fromkeys(metrics, float))
    answers = pd.concat([answers, answers.assign(attribute="all")], ignore_index=True)
    grouped = answers.groupby([*index, "person"], sort=False, observed=True)[metrics]
    totals, sizes = grouped.sum(), grouped.size().to_numpy()
    rows = totals.index.droplevel("person")
    code, names = pd.factorize(rows)
    labels = pd.MultiIndex.from_tuples(names, names=index).to_frame(index=False)
    parts = []
    for metric in metrics:
        moments = _Moments.of(totals[metric].to_numpy(), sizes, code, len(labels))
        low, high = moments.proportion_interval() if metric in PROPORTIONS else moments.normal_interval()
        parts.append(labels.assign(metric=metric, value=moments.mean, n=moments.n.astype("int64"), low=low, high=high))
    return pd.concat(parts, ignore_index=True)


def person_bootstrap(n_persons: int, draws: int, seed: int) -> Floats:
    """How often each person is drawn in each bootstrap sample: (draws, n_persons), every row sums to `n_persons`."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n_persons, np.full(n_persons, 1 / n_persons), size=draws).astype(float)


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

    lows, highs: the interval of each seed over its persons. comparisons: so many such intervals hold together with 95 % (Bonferroni).
    """
    sample = np.asarray(values, dtype=float)
    if not sample.size or np.isnan(sample).any():
        return Interval(np.nan, np.nan, np.nan)
    below, above = (np.full(sample.shape, np.nan) if ends is None else np.asarray(ends, dtype=float) for ends in (lows, highs))
    # Summing equal numbers rounds, and what varies by rounding does not vary.
    spread = 0.0 if np.ptp(sample) == 0 else (float(sample.std(ddof=1)) if sample.size > 1 else np.nan)
    mean = float(sample[0]) if spread == 0 else float(sample.mean())
    persons = _of_persons(sample - below), _of_persons(above - sample)
    low, high = _ends(np.array([mean]), np.array([spread]), np.array([sample.size]), *persons, kind, comparisons)
    return Interval(mean, float(low[0]), float(high[0]))


def over_seeds(frame: pd.DataFrame, by: Sequence[str], seeds: int | None = None, *, kind: Kind) -> pd.DataFrame:
    """One row for each combination of `by`, with columns `by`, value, low, high.

    With several values in column `seed`: mean over the seeds and its interval, for the combinations that every seed has; NaN where the
    value of a seed is, since those that are left are no sample of all. With one seed the rows keep their interval (that of the persons).
    `seeds`: how many there are in the study, for a frame from which rows were taken out, since what is left may know of fewer.

    The interval is Student's t, on the scale on which a number of this `kind` has no bounds: the logit of a proportion, Fisher's z of a
    correlation or a difference of proportions, the logarithm of a ratio. The standard error goes there by its derivative at the mean
    (delta method), so that the interval is one of the mean, and a seed at a bound does no harm. It is at least as wide as the intervals of
    the seeds over their persons (low, high) make the mean of them, as if all seeds had the same truth (MOVER, Zou and Donner 2008): few
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
    persons = {end: np.sqrt(grouped[end].sum(min_count=seeds).to_numpy(dtype=float)) / seeds for end in ("below", "above")}
    rows = rows.assign(**persons)
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
    """Mean of `first` minus mean of `second`, shares of right answers of the same persons (each (persons,), of so many `answers` a person).

    The interval is normal, on the scale of Fisher's z. Its variance is that between persons with two more of them, who differ by one
    answer, one each way (after Agresti and Min 2005): where nobody differs, so many persons still do not show that nobody would. Where
    everybody differs in everything, it comes from the Wilson intervals of both.
    """
    both = [np.asarray(values, dtype=float) for values in (first, second)]
    differences = both[0] - both[1]
    value = float(differences.mean())
    if abs(value) == 1:
        low, high = difference_ends(share_of_persons(both[0]), share_of_persons(both[1]))
    else:
        more = np.append(differences, [1 / answers, -1 / answers])
        low, high = map(float, normal_interval(value, more.std(ddof=1) / np.sqrt(len(more)), DIFFERENCE))
    return Interval(value, max(low, -1.0), min(high, 1.0))  # beyond by rounding only


def difference_ends(first: Interval, second: Interval) -> tuple[float, float]:
    """Ends of an interval of the difference of two independent numbers, from theirs (MOVER, Zou and Donner 2008); NaN where theirs are.

    Too wide where the numbers rise and fall together, as those of the same persons do.
    """
    difference = first.value - second.value
    below = float(np.hypot(first.value - first.low, second.high - second.value))
    above = float(np.hypot(first.high - first.value, second.value - second.low))
    return difference - below, difference + above


def share_of_persons(shares: Floats) -> Interval:
    """Mean of the persons' shares (persons,), with Wilson's interval at the size that their variance gives, at least their number."""
    mean = float(shares.mean())
    variance = float(shares.var(ddof=1)) / len(shares) if len(shares) > 1 else np.nan
    effective = mean * (1 - mean) / variance if variance > 0 else np.nan
    effective = len(shares) if np.isnan(effective) else max(effective, len(shares))
    low, high = wilson(mean * effective, effective)
    return Interval(mean, float(low), float(high))


def _of_persons(beyond: Floats) -> Floats:
    """How far the mean of seeds reaches on one side by their persons alone, (1,), given how far each seed does."""
    return np.array([np.sqrt(np.square(beyond).sum()) / len(beyond)])


def _ends(
    mean: Floats, spread: Floats, seeds: NDArray[np.integer], below: Floats, above: Floats, kind: Kind, comparisons: int = 1
) -> tuple[Floats, Floats]:
    """Ends of intervals of means over seeds, all (n,): their means and standard deviations, and how far they reach by the persons alone
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


class _Moments(NamedTuple):
    """Mean of clustered values, by cell: number of values and clusters, and the cluster-robust variance of the mean (NaN for a single
    cluster)."""

    mean: Floats
    n: Floats
    clusters: Floats
    variance: Floats

    @classmethod
    def of(cls, totals: ArrayLike, sizes: ArrayLike, cell: NDArray[np.intp], cells: int) -> _Moments:
        """From the sum and the number of the values in each cluster, and the cell that the cluster belongs to."""
        total, size = np.asarray(totals, dtype=float), np.asarray(sizes, dtype=float)
        n: Floats = np.bincount(cell, size, cells).astype(float)
        mean = np.bincount(cell, total, cells) / n
        clusters = np.bincount(cell, minlength=cells).astype(float)
        squares = np.bincount(cell, (total - mean[cell] * size) ** 2, cells)
        few = np.where(clusters > 1, clusters - 1, np.nan)
        return cls(mean, n, clusters, squares / n**2 * clusters / few)

    @classmethod
    def of_rows(cls, values: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> _Moments:
        """One cell for each row of `values` (..., n), in the shape (...). A value is a sum over `weights` (n,) units, by default one."""
        rows, names = np.asarray(values, dtype=float), np.asarray(clusters)
        order = np.argsort(names, kind="stable")
        starts = np.unique(names[order], return_index=True)[1]
        totals = np.add.reduceat(rows[..., order], starts, axis=-1).reshape(-1, len(starts))
        sizes = np.add.reduceat(np.ones(len(names)) if weights is None else np.asarray(weights, dtype=float)[order], starts)
        cell = np.repeat(np.arange(len(totals)), len(starts))
        moments = cls.of(totals.ravel(), np.tile(sizes, len(totals)), cell, len(totals))
        return cls(*(number.reshape(rows.shape[:-1])[()] for number in moments))  # [()]: a scalar of a single row

    def proportion_interval(self) -> tuple[Floats, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = self.mean * (1 - self.mean) / self.variance
        effective = np.where(np.isnan(effective), self.clusters, effective)
        effective = np.clip(effective, self.clusters, self.n)
        return wilson(self.mean * effective, effective)

    def normal_interval(self) -> tuple[Floats, Floats]:
        half = Z * np.sqrt(self.variance)
        return self.mean - half, self.mean + half
