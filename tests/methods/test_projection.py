"""Projections against loops, singular value decompositions and planted subspaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.methods.gradient_projection.projection import Subspace, remove_along_, unit_rows

DIMENSION = 12


def inputs_of_falling_norm(tokens: int = 60) -> Tensor:
    """(tokens, 12) inputs whose directions hold very different shares of the squared norm."""
    generator = torch.Generator().manual_seed(1)
    mixing = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, generator=generator, dtype=torch.float64)).Q
    scales = 0.6 ** torch.arange(DIMENSION, dtype=torch.float64)
    return torch.randn(tokens, DIMENSION, generator=generator, dtype=torch.float64) * scales @ mixing.T


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 7), (9,)])
def test_removing_a_direction_equals_a_loop_over_rows(shape: tuple[int, ...]) -> None:
    update, direction, target = random(*shape), random(*shape, seed=1), random(*shape, seed=2)
    expected = target.clone()
    for row, u, v in zip(expected.view(-1, shape[-1]), update.view(-1, shape[-1]), direction.view(-1, shape[-1]), strict=True):
        factor = sum(float(a) * float(b) for a, b in zip(u, v, strict=True)) / sum(float(b) ** 2 for b in v)
        for column in range(len(row)):
            row[column] -= factor * v[column]
    remove_along_(target, update, unit_rows(direction))
    assert torch.allclose(target, expected, rtol=0, atol=1e-14)


def test_a_projected_update_is_orthogonal_and_projecting_again_changes_nothing() -> None:
    update, unit = random(5, 7), unit_rows(random(5, 7, seed=1))
    remove_along_(update, update.clone(), unit)
    assert (update * unit).sum(1).abs().max() < 1e-14
    again = update.clone()
    remove_along_(again, update, unit)
    assert torch.allclose(again, update, rtol=0, atol=1e-14)


def test_rows_without_a_direction_keep_their_bits() -> None:
    target, direction = random(4, 7).float(), random(4, 7, seed=1).float()
    direction[1:3] = 0
    before = target.clone()
    remove_along_(target, random(4, 7, seed=2).float(), unit_rows(direction))
    assert torch.equal(target[1:3], before[1:3])
    assert not torch.equal(target[[0, 3]], before[[0, 3]])
    assert torch.equal(unit_rows(torch.zeros(3)), torch.zeros(3))


def test_tiny_directions_get_length_one() -> None:
    """In float32 the square of 1e-30 is 0."""
    unit = unit_rows(torch.full((2, 16), 1e-30))
    assert torch.allclose(unit.norm(dim=1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize("energy", [0.3, 0.7, 0.9, 0.97, 0.99, 0.9999])
def test_the_rank_is_the_smallest_that_holds_the_energy(energy: float) -> None:
    inputs = inputs_of_falling_norm()
    squares = np.linalg.svd(inputs.numpy(), compute_uv=False) ** 2
    rank = Subspace.holding(inputs.T @ inputs, energy, torch.float64).rank
    assert squares[:rank].sum() >= energy * squares.sum() > squares[: rank - 1].sum()


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.999])
def test_the_protected_update_is_that_of_the_singular_vectors(energy: float) -> None:
    """U (I - M M^T) with M from the inputs themselves, whichever basis is kept; its columns are orthonormal."""
    inputs, before, update = inputs_of_falling_norm(), random(5, DIMENSION), random(5, DIMENSION, seed=1)
    subspace = Subspace.holding(inputs.T @ inputs, energy, torch.float64)
    assert subspace.inside == (subspace.rank <= DIMENSION / 2)
    assert subspace.basis.shape[1] == min(subspace.rank, DIMENSION - subspace.rank)
    assert torch.allclose(subspace.basis.T @ subspace.basis, torch.eye(subspace.basis.shape[1], dtype=torch.float64), atol=1e-12)
    leading = torch.from_numpy(np.linalg.svd(inputs.numpy())[2][: subspace.rank].T)
    after = before + update
    subspace.protect_(after, before)
    assert torch.allclose(after - before, update - update @ leading @ leading.T, rtol=0, atol=1e-10)
    assert torch.allclose(after @ leading, before @ leading, rtol=0, atol=1e-10)


@pytest.mark.parametrize("planted", [1, 4, 9])
def test_a_planted_subspace_is_found(planted: int) -> None:
    """Inputs within `planted` dimensions, plus noise of a millionth of their squared norm."""
    span = torch.linalg.qr(random(DIMENSION, planted)).Q
    inputs = random(200, planted, seed=1) @ span.T
    inputs += 1e-3 * inputs.norm() * torch.nn.functional.normalize(random(200, DIMENSION, seed=2), dim=None)
    subspace = Subspace.holding(inputs.T @ inputs, 1 - 1e-5, torch.float64)
    assert subspace.rank == planted
    assert subspace.share == planted / DIMENSION
    projector = subspace.basis @ subspace.basis.T
    if not subspace.inside:
        projector = torch.eye(DIMENSION, dtype=torch.float64) - projector
    assert torch.allclose(projector, span @ span.T, atol=1e-2)


def test_inputs_in_all_directions_leave_no_update_at_all() -> None:
    inputs, before = inputs_of_falling_norm(), random(5, DIMENSION).float()
    after = before + 1
    Subspace.holding(inputs.T @ inputs, 1.0, torch.float32).protect_(after, before)
    assert torch.equal(after, before)


def test_no_inputs_protect_nothing() -> None:
    after = random(5, DIMENSION)
    kept = after.clone()
    Subspace.holding(torch.zeros(DIMENSION, DIMENSION, dtype=torch.float64), 0.97, torch.float64).protect_(after, kept - 1)
    assert torch.equal(after, kept)
