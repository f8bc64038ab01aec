from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats
import torch

from forgetting.subspaces import (
    NULL_DRAWS,
    angles_to_subspace,
    chance_angle_to_subspace,
    chance_principal_angle,
    dimensions,
    leading_directions,
    principal_angle,
    random_angles,
    random_principal_angles,
    rank_at_energy,
)


def random_basis(dimension: int, rank: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(scipy.linalg.orth(np.random.default_rng(seed).standard_normal((dimension, rank))))


def gaussian_directions(rows: int, columns: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return leading_directions(matrix @ matrix.T)


def test_leading_directions_are_the_singular_vectors():
    matrix = np.random.default_rng(0).standard_normal((12, 30))
    vectors, energies = leading_directions(torch.from_numpy(matrix @ matrix.T))
    left, values, _ = np.linalg.svd(matrix)
    assert np.allclose(energies, values**2)
    assert np.allclose(np.abs(vectors.numpy().T @ left), np.eye(12), atol=1e-9)


def test_the_sign_of_a_direction_does_not_depend_on_that_of_the_data():
    matrix = np.random.default_rng(0).standard_normal((12, 30))
    vectors, _ = leading_directions(torch.from_numpy(matrix @ matrix.T))
    largest = np.abs(vectors.numpy()).argmax(0)
    assert (vectors.numpy()[largest, np.arange(12)] > 0).all()


def test_principal_angle_agrees_with_scipy():
    first, second = random_basis(40, 6, 1), random_basis(40, 6, 2)
    assert principal_angle(first, second) == pytest.approx(np.degrees(scipy.linalg.subspace_angles(first.numpy(), second.numpy())).mean())


def test_planted_angle():
    first = torch.eye(20, dtype=torch.float64)[:, :4]
    tilt = np.radians(25.0)
    second = np.cos(tilt) * first + np.sin(tilt) * torch.eye(20, dtype=torch.float64)[:, 4:8]
    assert principal_angle(first, second) == pytest.approx(25.0)
    assert angles_to_subspace(first, second).tolist() == pytest.approx([25.0] * 4)


def test_rank_at_energy():
    energies = torch.tensor([6.0, 3.0, 1.0, 0.0], dtype=torch.float64)
    assert [rank_at_energy(energies, share) for share in (0.5, 0.6, 0.61, 0.9, 0.95, 1.0)] == [1, 1, 2, 2, 3, 3]
    assert rank_at_energy(torch.zeros(4), 0.99) == 0
    assert dimensions(energies) == 3
    assert dimensions(torch.zeros(4)) == 0


@pytest.mark.parametrize(("rows", "columns"), [(96, 96), (96, 384), (48, 4000)])
def test_chance_angle_is_that_of_gaussian_updates(rows, columns):
    simulated, expected = [], []
    for seed in range(3):
        (former, former_energies), (latter, energies) = (
            gaussian_directions(rows, columns, seed),
            gaussian_directions(rows, columns, seed + 50),
        )
        former_rank, rank = rank_at_energy(former_energies, 0.99), rank_at_energy(energies, 0.99)
        simulated.append(float(angles_to_subspace(former[:, :former_rank], latter[:, :rank]).mean()))
        expected.append(chance_angle_to_subspace(former_rank, rows))
    assert np.mean(simulated) == pytest.approx(np.mean(expected), abs=1.0)


@pytest.mark.parametrize(("rank", "dimension"), [(1, 12), (11, 12), (228, 256), (592, 768)])
def test_chance_angle_is_the_exact_mean(rank, dimension):
    """The squared cosine of a random direction is Beta distributed; arccos sqrt(r / d) is what its mean alone would give."""
    squared_cosine = scipy.stats.beta(rank / 2, (dimension - rank) / 2)
    ends = (squared_cosine.ppf(1e-13), squared_cosine.isf(1e-13))
    exact = scipy.integrate.quad(lambda c: np.degrees(np.arccos(np.sqrt(c))) * squared_cosine.pdf(c), *ends, limit=200)[0]
    assert chance_angle_to_subspace(rank, dimension) == pytest.approx(exact, abs=1e-4)
    share = rank / dimension
    curvature = (1 - 2 * share) / (4 * np.sqrt(share * (1 - share)) * (dimension + 2))
    if dimension > 100:
        limit = np.degrees(np.arccos(np.sqrt(share)) + curvature)
        assert chance_angle_to_subspace(rank, dimension) == pytest.approx(limit, abs=0.01)


def test_random_directions_have_no_angle_to_the_whole_space():
    assert chance_angle_to_subspace(12, 12) == 0
    assert random_angles(12, 12, 12).max() == pytest.approx(0, abs=1e-4)


def test_every_direction_is_at_right_angles_to_a_space_of_no_dimensions():
    assert chance_angle_to_subspace(0, 12) == 90
    assert random_angles(0, 5, 12).tolist() == [[90.0] * 5] * NULL_DRAWS
    assert angles_to_subspace(torch.zeros(12, 0), torch.eye(12)).tolist() == [90.0] * 12


@pytest.mark.parametrize(("rank", "dimension"), [(5, 12), (30, 40)])
def test_squared_cosines_of_random_angles_are_beta_distributed(rank, dimension):
    angles = random_angles(rank, dimension, dimension)
    assert angles.shape == (NULL_DRAWS, dimension)
    squared_cosines = np.cos(np.radians(angles.numpy())) ** 2
    np.testing.assert_allclose(squared_cosines.sum(1), rank)  # any orthonormal basis has r in total
    for column in (0, dimension - 1):
        assert scipy.stats.kstest(squared_cosines[:, column], scipy.stats.beta(rank / 2, (dimension - rank) / 2).cdf).pvalue > 0.01


def test_random_angles_are_those_of_independent_gaussian_updates():
    """The mean over six directions has the distribution that leading directions of Gaussian matrices have."""
    basis = random_basis(20, 8, 1)
    means = [float(angles_to_subspace(basis, gaussian_directions(20, 30, seed)[0][:, :6]).mean()) for seed in range(400)]
    assert scipy.stats.ks_2samp(means, random_angles(8, 6, 20).mean(1).numpy()).pvalue > 0.01


def test_random_principal_angles_are_those_of_random_subspaces():
    expected = [
        np.degrees(scipy.linalg.subspace_angles(random_basis(20, 4, seed).numpy(), random_basis(20, 4, seed + 1000).numpy())).mean()
        for seed in range(400)
    ]
    found = random_principal_angles(4, 20)
    assert scipy.stats.ks_2samp(expected, found.numpy()).pvalue > 0.01
    assert chance_principal_angle(4, 20) == pytest.approx(float(found.mean()))


def test_chance_is_drawn_with_a_seed():
    first = random_angles(5, 7, 12)
    random_angles(5, 7, 13)  # the draws of only one dimension are kept
    assert torch.equal(random_angles(5, 7, 12), first)


@pytest.mark.parametrize(("columns", "degrees"), [(768, 28.6), (3072, 10.5)])
def test_the_known_chance_levels_of_a_model_of_768(columns, degrees):
    _, energies = gaussian_directions(768, columns, 0)
    assert chance_angle_to_subspace(rank_at_energy(energies, 0.99), 768) == pytest.approx(degrees, abs=0.3)


@pytest.mark.parametrize(("rank", "dimension"), [(8, 128), (16, 64)])
def test_chance_of_principal_angles_is_that_of_the_limiting_density(rank, dimension):
    """Squared cosines of random subspaces of share a = k / d follow, for large d, the density below on [0, 4 a (1 - a)] (Wachter)."""
    share = rank / dimension
    top = 4 * share * (1 - share)

    def density(squared_cosine: float) -> float:
        return np.sqrt(squared_cosine * (top - squared_cosine)) / (2 * np.pi * share * squared_cosine * (1 - squared_cosine))

    def integral(function) -> float:
        return scipy.integrate.quad(lambda cosine: 2 * cosine * function(cosine**2), 0, np.sqrt(top))[0]

    assert integral(density) == pytest.approx(1, abs=1e-6)
    mean = integral(lambda squared_cosine: density(squared_cosine) * np.degrees(np.arccos(np.sqrt(squared_cosine))))
    assert chance_principal_angle(rank, dimension) == pytest.approx(mean, abs=0.5)
