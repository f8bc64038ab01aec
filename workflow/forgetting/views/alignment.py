"""How much of a shift goes along leading directions, beside what a random update with the same singular values gives.

Shares of a squared length, that is squared cosines: independent of the signs of eigenvectors and of a rotation of the space.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.subspaces import dimensions, leading_directions
from forgetting.views.measured import Measured, percentiles, squared_lengths, unit_means, with_interval

NULL_DRAWS = 200
_NULL_SEED = 0


@lru_cache(maxsize=8)
def _random_squares(rank: int, dimension: int) -> Tensor:
    """Squared length of each row of random orthonormal columns (dimension, rank), over NULL_DRAWS seeded draws: (draws, dimension)."""
    generator = torch.Generator().manual_seed(_NULL_SEED)
    gaussian = torch.randn(NULL_DRAWS, dimension, rank, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(gaussian).Q.square().sum(2)


def chance_shares(energies: Tensor, rank: int, dimension: int) -> Tensor:
    """Share of an update's squared norm in a fixed subspace of `rank` dimensions when its singular vectors are random, (draws,).

    `energies` are its squared singular values. By symmetry the subspace may turn in place of the update, so no update is ever built. The
    expectation is rank / dimension whatever the energies are; they set how far a single random update strays from it.
    """
    return (_random_squares(rank, dimension)[:, : len(energies)] @ energies) / energies.sum()


def row_directions(rows: Tensor, count: int) -> Tensor:
    """The at most `count` leading right singular vectors of `rows` (n, d), as columns."""
    few = len(rows) < rows.shape[1]  # the smaller Gram matrix has the same eigenvalues
    vectors, energies = leading_directions(rows @ rows.T if few else rows.T @ rows)
    kept = min(count, dimensions(energies))
    leading = vectors[:, :kept]
    if few:
        leading = rows.T @ leading
        leading = leading / leading.norm(dim=0)
    return leading


def with_random_update(measured: Measured, energies: Tensor, rank: int, dimension: int) -> Measured:
    """`measured`, a share, with what `chance_shares` gives: its expectation and its middle 95 %."""
    low, high = percentiles(chance_shares(energies, rank, dimension))
    return measured._replace(chance=rank / dimension, chance_low=low, chance_high=high)


def alignment(shifts: Tensor, leading: Tensor, units: NDArray[np.integer]) -> dict[str, Measured]:
    """Shares of the squared length of `shifts` (n, d) along `leading` (d, k), that is squared cosines: of their mean, and over all of them.

    Intervals resample units and hold `leading`. Chance: the same shifts turned by a random rotation. Empty when nothing shifted.
    """
    width, rank = leading.shape
    if not shifts.any():
        return {}
    means = unit_means(shifts, units)
    inside = means @ leading
    along, across = squared_lengths(inside), squared_lengths(means - inside @ leading.T)
    squares = unit_means(torch.stack([(shifts @ leading).square().sum(1), shifts.square().sum(1)], dim=1), units)
    energies = torch.linalg.svdvals(shifts).square()
    return {
        "mean_shift_along": with_random_update(with_interval(along / (along + across)), torch.ones(1, dtype=torch.float64), rank, width),
        "single_shifts_along": with_random_update(with_interval(squares[:, 0] / squares[:, 1]), energies, rank, width),
    }
