from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forgetting.sections import ATTRIBUTES
from forgetting.statistics import (
    clustered_mean,
    clustered_wilson,
    mean_and_error,
    over_seeds,
    person_bootstrap,
    summarise,
    t_interval,
    wilson,
)


def answers(persons: int, accuracy: float, correlation: float, seed: int = 0) -> pd.DataFrame:
    """Facts whose right answers are correlated within a person by a common normal factor."""
    generator = np.random.default_rng(seed)
    shared, own = generator.normal(size=(persons, 1)), generator.normal(size=(persons, len(ATTRIBUTES)))
    right = stats.norm.cdf(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own) < accuracy
    return pd.DataFrame(
        {
            "person": np.repeat(np.arange(persons), len(ATTRIBUTES)),
            "group": np.repeat(np.where(np.arange(persons) % 3 == 0, "control", "task1"), len(ATTRIBUTES)),
            "attribute": np.tile(ATTRIBUTES, persons),
            "exact_match": right.ravel(),
            "first_token_hard": ~right.ravel(),
            "first_token_soft": generator.random(right.size).astype("float32"),
            "answer_nll": generator.exponential(size=right.size).astype("float32"),
        }
    )


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (3, 11), (420, 600)])
def test_wilson_agrees_with_scipy(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(successes, n), (expected.low, expected.high), atol=1e-12)


def test_clustered_wilson_of_clusters_of_one_is_wilson() -> None:
    values = np.array([1, 0, 0, 1, 1, 1, 0, 1])
    result = clustered_wilson(values, np.arange(8))
    np.testing.assert_allclose((result.low, result.high), np.ravel(wilson(5, 8)))


@pytest.mark.parametrize("value", [0, 1])
def test_equal_values_count_as_many_as_there_are_persons(value: int) -> None:
    result = clustered_wilson(np.full(60, value), np.repeat(np.arange(10), 6))
    np.testing.assert_allclose(result[1:], np.ravel(wilson(10 * value, 10)))


def test_identical_answers_within_a_person_count_once() -> None:
    by_person = np.array([1, 0, 1, 1, 0, 1, 1, 1, 0, 1])
    result = clustered_wilson(np.repeat(by_person, 6), np.repeat(np.arange(10), 6))
    np.testing.assert_allclose(result[1:], np.ravel(wilson(7, 10)))


def test_effective_size_never_exceeds_the_number_of_answers() -> None:
    """Every person has exactly half right: the mean has no variance between persons, and yet it is known from 60 answers only."""
    result = clustered_wilson(np.tile([1, 0], 30), np.repeat(np.arange(10), 6))
    np.testing.assert_allclose(result[1:], np.ravel(wilson(30, 60)))


def test_clustered_interval_is_as_wide_as_the_person_bootstrap() -> None:
    facts = answers(persons=200, accuracy=0.6, correlation=0.5)
    sums = facts.groupby("person")["exact_match"].mean().to_numpy()
    draws = person_bootstrap(200, 4000, seed=1) @ sums / 200
    result = clustered_wilson(facts["exact_match"], facts["person"])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert result.high - result.low == pytest.approx(high - low, rel=0.08)
    independent = wilson(facts["exact_match"].sum(), len(facts))
    assert result.high - result.low > 1.3 * float(independent[1] - independent[0])


def test_clustered_interval_covers_the_truth() -> None:
    covered = 0
    for seed in range(200):
        facts = answers(persons=60, accuracy=0.3, correlation=0.6, seed=seed)
        result = clustered_wilson(facts["exact_match"], facts["person"])
        covered += result.low <= 0.3 <= result.high
    assert covered >= 182  # 95 % of 200, less twice its standard error


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        clustered_wilson([], [])


def test_summarise_agrees_with_a_loop_over_cells() -> None:
    first, second = answers(30, 0.4, 0.3, seed=1).assign(step=0), answers(30, 0.7, 0.3, seed=2).assign(step=5)
    facts = pd.concat([first, second], ignore_index=True)
    summary = summarise(facts, ["step"]).set_index(["step", "group", "attribute", "metric"])
    assert len(summary) == 2 * 2 * 7 * 4
    for (step, group, attribute, metric), row in summary.iterrows():
        cell = facts[(facts["step"] == step) & (facts["group"] == group)]
        cell = cell if attribute == "all" else cell[cell["attribute"] == attribute]
        values = cell[metric].astype(float)
        assert row["value"] == pytest.approx(values.mean())
        assert row["n"] == len(cell)
        if metric in ("exact_match", "first_token_hard"):
            np.testing.assert_allclose(row[["low", "high"]].astype(float), clustered_wilson(values, cell["person"])[1:])
        else:
            residual = (values - values.mean()).groupby(cell["person"]).sum()
            variance = (residual**2).sum() / len(cell) ** 2 * len(residual) / (len(residual) - 1)
            assert row["high"] - row["value"] == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))


def test_summarise_keeps_key_columns_and_needs_none() -> None:
    facts = answers(4, 0.5, 0.2).assign(arm="seq", seed=3)
    assert list(summarise(facts, ["arm", "seed"]).columns[:4]) == ["arm", "seed", "group", "attribute"]
    assert list(summarise(facts).columns) == ["group", "attribute", "metric", "value", "n", "low", "high"]


def test_summarise_is_fast_enough_for_dense_evaluation() -> None:
    facts = answers(750, 0.5, 0.2).assign(step=0)
    summarise(facts, ["step"])
    best = min(_seconds(facts) for _ in range(5))
    assert best < 0.05


def _seconds(facts: pd.DataFrame) -> float:
    start = time.perf_counter()
    summarise(facts, ["step"])
    return time.perf_counter() - start


def test_bootstrap_weights_are_draws_with_replacement() -> None:
    weights = person_bootstrap(20, 3000, seed=4)
    assert weights.shape == (3000, 20)
    assert (weights.sum(axis=1) == 20).all()
    np.testing.assert_allclose(weights.var(axis=0), 0.95, rtol=0.15)
    np.testing.assert_array_equal(weights, person_bootstrap(20, 3000, seed=4))


def test_t_interval_agrees_with_scipy() -> None:
    sample = [0.91, 0.95, 0.88, np.nan]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(sample[:3]), scale=stats.sem(sample[:3]))
    np.testing.assert_allclose(t_interval(sample), (np.mean(sample[:3]), low, high))
    assert np.isnan(t_interval([0.5]).low) and t_interval([0.5]).value == 0.5
    assert np.isnan(t_interval([np.nan]).value)


def test_over_seeds_averages_what_every_seed_has() -> None:
    frame = pd.DataFrame(
        {"seed": [0, 0, 1, 1, 2, 2], "step": [0, 5, 0, 5, 0, 7], "value": [0.9, 0.1, 1.0, 0.2, 0.8, 0.3], "low": 0.0, "high": 1.0}
    )
    merged = over_seeds(frame, ["step"])
    assert merged["step"].tolist() == [0]
    np.testing.assert_allclose(merged.loc[0, ["value", "low", "high"]].astype(float), t_interval([0.9, 1.0, 0.8]))
    assert over_seeds(frame[frame["seed"] == 0], ["step"], seeds=3).empty
    single = over_seeds(frame[frame["seed"] == 0], ["step"])
    assert single[["value", "low", "high"]].to_numpy().tolist() == [[0.9, 0.0, 1.0], [0.1, 0.0, 1.0]]


def test_interval_of_a_mean_over_whole_persons() -> None:
    """One value a person is the standard error of a mean; doubling every value within its person changes nothing."""
    values = np.random.default_rng(0).standard_normal(20)
    plain = clustered_mean(values, np.arange(20))
    half = stats.norm.ppf(0.975) * stats.sem(values)
    assert plain == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))
    assert clustered_mean(np.repeat(values, 2), np.repeat(np.arange(20), 2)) == pytest.approx(plain)
    assert np.isnan(clustered_mean(values, np.zeros(20)).low)


def test_the_error_of_equal_clusters_is_that_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=(3, 40))
    clusters = np.tile(np.arange(10), 4)
    mean, error = mean_and_error(values, np.ones(40), clusters)
    of_clusters = values.reshape(3, 4, 10).mean(1)
    assert np.allclose(mean, of_clusters.mean(1))
    assert np.allclose(error, stats.sem(of_clusters, axis=1))


def test_the_error_of_a_ratio_is_the_spread_of_its_draws() -> None:
    """Clusters of unequal size drawn again and again: the ratio varies as much as each draw says of itself."""
    generator = np.random.default_rng(1)
    ratios, errors = [], []
    for _ in range(2000):
        of_cluster = generator.normal(size=60)
        clusters = np.repeat(np.arange(60), generator.integers(1, 7, 60))
        weights = generator.integers(1, 5, len(clusters))
        mean, error = mean_and_error((2 + of_cluster[clusters]) * weights, weights, clusters)
        ratios.append(mean)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.06)


def test_one_cluster_has_no_error() -> None:
    assert np.isnan(mean_and_error(np.ones(3), np.ones(3), np.zeros(3))[1])
