"""Intervals of one run, for proportions and means of questions that come in clusters: those of one unit (a person) are not independent.

All intervals are 95 %. No function here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""Quantiles at the ends of an interval."""


Z = NormalDist().inv_cdf(TAILS[1])


Floats = NDArray[np.float64]


class Interval(NamedTuple):
    value: float
    low: float
    high: float


class Measures(NamedTuple):
    """Columns of what is measured of each question. proportions: it is so or not; means: numbers; accuracy: the one of the proportions
    that says whether the answer is right."""

    accuracy: str
    proportions: tuple[str, ...]
    means: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        return [*self.proportions, *self.means]


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
    the cluster (the unit) of each value.
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


def summarise(facts: pd.DataFrame, keys: Sequence[str], measures: Measures) -> pd.DataFrame:
    """Means of all metrics by split and kind, with intervals clustered by unit.

    `facts` has columns `keys`, unit, split, kind and those of `measures` (as the FACTS table). Returned are rows with columns `keys`,
    split, kind (each one, and "all" for the micro-average), metric, value, n (questions), low, high. Proportions carry
    `clustered_wilson` intervals, the other metrics a normal interval with the cluster-robust variance (NaN for a single unit).
    """
    index = [*keys, "split", "kind"]
    answers = facts[[*index, "unit", *measures.columns]].astype(dict.fromkeys(measures.columns, float))
    answers = pd.concat([answers, answers.assign(kind="all")], ignore_index=True)
    grouped = answers.groupby([*index, "unit"], sort=False, observed=True)[measures.columns]
    totals, sizes = grouped.sum(), grouped.size().to_numpy()
    rows = totals.index.droplevel("unit")
    code, names = pd.factorize(rows)
    labels = pd.MultiIndex.from_tuples(names, names=index).to_frame(index=False)
    parts = []
    for metric in measures.columns:
        moments = _Moments.of(totals[metric].to_numpy(), sizes, code, len(labels))
        low, high = moments.proportion_interval() if metric in measures.proportions else moments.normal_interval()
        parts.append(labels.assign(metric=metric, value=moments.mean, n=moments.n.astype("int64"), low=low, high=high))
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=4)  # a table asks for the same draws hundreds of times
def unit_bootstrap(n_units: int, draws: int, seed: int) -> Floats:
    """How often each unit is drawn in each bootstrap sample: (draws, n_units), every row sums to `n_units`; read-only."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=draws).astype(float)
    drawn.flags.writeable = False
    return drawn


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
