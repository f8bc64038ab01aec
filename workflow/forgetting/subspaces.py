"""Angles between subspaces of R^d and what chance gives for them (docs/views.md). All angles are in degrees."""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.special import betainc
from torch import Tensor

NULL_DRAWS = 200
_NULL_SEED = 0
_QUADRATURE_POINTS = 8193
_ZERO_ENERGY = 1e-12


def leading_directions(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors (d, d), as columns, and eigenvalues (d,) of a positive semi-definite matrix, largest first.

    For X X^T these are the left singular vectors and squared singular values of X, however many columns X has. Each vector's sign is
    fixed: its entry of largest magnitude is positive.
    """
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * largest.sign(), values


def dimensions(energies: Tensor) -> int:
    """How many of the squared singular values (descending) are not rounding errors of zero."""
    return int((energies > _ZERO_ENERGY * energies[0]).sum())


def rank_at_energy(energies: Tensor, share: float) -> int:
    """The fewest leading squared singular values that hold `share` of their sum; 0 when all are zero."""
    total = energies.sum()
    if total == 0:
        return 0
    return min(int((energies.cumsum(0) < share * total * (1 - _ZERO_ENERGY)).sum()) + 1, len(energies))


def angles_to_subspace(basis: Tensor, vectors: Tensor) -> Tensor:
    """arccos |U^T v| for each column v (unit length) of `vectors` (d, m), U the orthonormal columns of `basis` (d, r)."""
    return torch.rad2deg(torch.arccos((basis.T @ vectors).norm(dim=0).clamp(0, 1)))


@functools.cache
def chance_angle_to_subspace(rank: int, dimension: int) -> float:
    """The exact mean angle between a random direction of R^d and a subspace of r dimensions.

    The squared cosine has the distribution Beta(r / 2, (d - r) / 2) of mean r / d, so for large d this is arccos sqrt(r / d).
    The difference grows as d falls and as r nears d: 0.1 degrees at 742 of 768, more than random updates of that rank stray.
    """
    if rank in (0, dimension):
        return 0.0 if rank else 90.0
    angles = np.linspace(0, np.pi / 2, _QUADRATURE_POINTS)
    still_larger = betainc(rank / 2, (dimension - rank) / 2, np.cos(angles) ** 2)
    return float(np.degrees(np.trapezoid(still_larger, angles)))


def random_angles(rank: int, count: int, dimension: int) -> Tensor:
    """Angles between `count` random orthonormal directions (Haar) of R^d and a subspace of `rank` dimensions: (NULL_DRAWS, count).

    Seeded. Calls of one dimension share their draws, so their results are not independent of each other.
    """
    squares = _squares_within_leading(dimension)[:, rank, :count]
    return torch.rad2deg(torch.arccos(squares.clamp(0, 1).sqrt()))


@functools.lru_cache(maxsize=1)
def _squares_within_leading(dimension: int) -> Tensor:
    """Squared length of each column of random orthogonal matrices within the first 0, 1, ..., d coordinates: (NULL_DRAWS, d + 1, d).

    Whether directions or the subspace they are held against are random makes no difference, so the subspace is that of the first r
    coordinates, and one set of draws serves all ranks and numbers of directions: 0.9 GB for d = 768.
    """
    generator = torch.Generator().manual_seed(_NULL_SEED)
    squares = torch.zeros(NULL_DRAWS, dimension + 1, dimension, dtype=torch.float64)
    for draw in squares:
        # The signs that a QR decomposition chooses are not random, but squares do not see them.
        orthogonal = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)).Q
        torch.cumsum(orthogonal.square(), 0, out=draw[1:])
    return squares


def principal_angle(first: Tensor, second: Tensor) -> float:
    """Mean of the principal angles between the spans of two orthonormal bases (d, k)."""
    cosines = torch.linalg.svdvals(first.T @ second).clamp(0, 1)
    return float(torch.rad2deg(torch.arccos(cosines)).mean())


@functools.cache
def random_principal_angles(rank: int, dimension: int) -> Tensor:
    """What `principal_angle` gives for two random subspaces: (NULL_DRAWS,), seeded."""
    generator = torch.Generator().manual_seed(_NULL_SEED)
    draws = torch.randn(NULL_DRAWS, dimension, rank, generator=generator, dtype=torch.float64)
    # One of the two may be that of the first coordinates; its products with the other are the first rows of that one's basis.
    cosines = torch.linalg.svdvals(torch.linalg.qr(draws).Q[:, :rank]).clamp(0, 1)
    return torch.rad2deg(torch.arccos(cosines)).mean(1)


def chance_principal_angle(rank: int, dimension: int) -> float:
    """The mean of `random_principal_angles`: it has no short closed form."""
    return float(random_principal_angles(rank, dimension).mean())
