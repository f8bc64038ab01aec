"""Numbers with an interval over units and a chance level, as the views of hidden states report them.

A unit's questions are not independent, so every interval resamples whole units: percentiles of a seeded bootstrap, 95 %.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.intervals import TAILS, unit_bootstrap

DRAWS = 400
NOT_A_NUMBER = float("nan")
_SEED = 0
_CONSTANT = 1e-6
"""States whose deviation is below this share of their norm differ by rounding only."""


class Measured(NamedTuple):
    """A number, the interval that its units give, the level that chance gives, and the 95 % range of chance (NaN where none applies)."""

    value: float
    low: float = NOT_A_NUMBER
    high: float = NOT_A_NUMBER
    chance: float = NOT_A_NUMBER
    chance_low: float = NOT_A_NUMBER
    chance_high: float = NOT_A_NUMBER


def unit_means(values: Tensor, units: NDArray[np.integer]) -> Tensor:
    """Means of `values` (n, ...) over all rows and over DRAWS resamples of the units (n,): (1 + DRAWS, ...), float64, the data first."""
    everyone, member = np.unique(units, return_inverse=True)
    index = torch.from_numpy(member.reshape(-1))
    rows = values.double().flatten(1) if values.dim() > 1 else values.double()[:, None]
    sums = torch.zeros(len(everyone), rows.shape[1], dtype=torch.float64).index_add_(0, index, rows)
    sizes = torch.bincount(index, minlength=len(everyone)).double()
    weights = _resamples(len(everyone))
    return ((weights @ sums) / (weights @ sizes)[:, None]).reshape(len(weights), *values.shape[1:])


def squared_lengths(means: Tensor) -> Tensor:
    """Squared lengths of mean vectors, (1 + DRAWS, d) as `unit_means` gives them, without what sampling adds: (1 + DRAWS,).

    The squared length of a mean exceeds that of the true mean by the mean's variance, and a resample's by twice that. Where nothing is
    left, the length is 0.
    """
    squares = means.square().sum(1)
    variance = (means[1:] - means[0]).square().sum(1).mean()
    return torch.cat([squares[:1] - variance, squares[1:] - 2 * variance]).clamp_min(0)


@lru_cache(maxsize=4)
def _resamples(units: int) -> Tensor:
    """How often each unit counts, (1 + DRAWS, units): once in the data, as often as drawn in a resample."""
    return torch.cat([torch.ones(1, units, dtype=torch.float64), torch.from_numpy(unit_bootstrap(units, DRAWS, _SEED))])


def with_interval(draws: Tensor, chance: float = NOT_A_NUMBER) -> Measured:
    """The first of `draws` (1 + DRAWS,) with the percentiles of the others."""
    low, high = percentiles(draws[1:])
    return Measured(float(draws[0]), low, high, chance)


def percentiles(draws: Tensor) -> tuple[float, float]:
    """The middle 95 % of the draws; NaN where one of them is."""
    low, high = np.quantile(draws.numpy(), TAILS)
    return float(low), float(high)


def is_constant(states: Tensor) -> bool:
    """Whether the rows (n, d) are all the same up to rounding: no direction of theirs means anything then."""
    deviation = (states - states.mean(0)).square().mean()
    return bool(deviation <= _CONSTANT**2 * states.square().mean())
