"""Angles between subspaces of R^d and what chance gives for them (science §5). All angles are in degrees."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

NULL_DRAWS = 32
_NULL_SEED = 0
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


def chance_angle_to_subspace(rank: int, dimension: int) -> float:
    """arccos sqrt(r / d): a random direction of R^d keeps r / d of its squared length in a subspace of r dimensions."""
    return float(np.degrees(np.arccos(np.sqrt(rank / dimension))))


def principal_angle(first: Tensor, second: Tensor) -> float:
    """Mean of the principal angles between the spans of two orthonormal bases (d, k)."""
    cosines = torch.linalg.svdvals(first.T @ second).clamp(0, 1)
    return float(torch.rad2deg(torch.arccos(cosines)).mean())


@functools.cache
def chance_principal_angle(rank: int, dimension: int) -> float:
    """What `principal_angle` gives for two random subspaces, as the mean of 32 draws (seeded): it has no short closed form."""
    generator = torch.Generator().manual_seed(_NULL_SEED)
    draws = torch.randn(2, NULL_DRAWS, dimension, rank, generator=generator, dtype=torch.float64)
    first, second = torch.linalg.qr(draws).Q
    return float(np.mean([principal_angle(a, b) for a, b in zip(first, second, strict=True)]))
