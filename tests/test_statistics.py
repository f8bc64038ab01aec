from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from forgetting.config.biography import ATTRIBUTES
from forgetting.intervals import clustered_mean, clustered_wilson, mean_and_error, summarise, unit_bootstrap, wilson
from forgetting.schemas.facts import EXACT
from forgetting.statistics import (
    CORRELATION,
    DIFFERENCE,
    PROPORTION,
    RATIO,
    UNBOUNDED,
    Kind,
    mean_over_seeds,
    over_seeds,
    paired_difference,
    t_interval,
)


def answers(units: int, accuracy: float, correlation: float, seed: int = 0) -> pd.DataFrame:
    """Facts whose right answers are correlated within a person by a common normal factor."""
    generator = np.random.default_rng(seed)
    shared, own = generator.normal(size=(units, 1)), generator.normal(size=(units, len(ATTRIBUTES)))
    right = stats.norm.cdf(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own) < accuracy
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), len(ATTRIBUTES)),
            "split": np.repeat(np.where(np.arange(units) % 3 == 0, "control", "task1"), len(ATTRIBUTES)),
            "kind": np.tile(ATTRIBUTES, units),
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
    by_unit = np.array([1, 0, 1, 1, 0, 1, 1, 1, 0, 1])
    result = clustered_wilson(np.repeat(by_unit, 6), np.repeat(np.arange(10), 6))
    np.testing.assert_allclose(result[1:], np.ravel(wilson(7, 10)))


def test_effective_size_never_exceeds_the_number_of_answers() -> None:
    """Every person has exactly half right: the mean has no variance between persons, and yet it is known from 60 answers only."""
    result = clustered_wilson(np.tile([1, 0], 30), np.repeat(np.arange(10), 6))
    np.testing.assert_allclose(result[1:], np.ravel(wilson(30, 60)))


def test_clustered_interval_is_as_wide_as_the_person_bootstrap() -> None:
    facts = answers(units=200, accuracy=0.6, correlation=0.5)
    sums = facts.groupby("unit")["exact_match"].mean().to_numpy()
    draws = unit_bootstrap(200, 4000, seed=1) @ sums / 200
    result = clustered_wilson(facts["exact_match"], facts["unit"])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert result.high - result.low == pytest.approx(high - low, rel=0.08)
    independent = wilson(facts["exact_match"].sum(), len(facts))
    assert result.high - result.low > 1.3 * float(independent[1] - independent[0])


def test_clustered_interval_covers_the_truth() -> None:
    covered = 0
    for seed in range(200):
        facts = answers(units=60, accuracy=0.3, correlation=0.6, seed=seed)
        result = clustered_wilson(facts["exact_match"], facts["unit"])
        covered += result.low <= 0.3 <= result.high
    assert covered >= 182  # 95 % of 200, less twice its standard error


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        clustered_wilson([], [])


def test_summarise_agrees_with_a_loop_over_cells() -> None:
    first, second = answers(30, 0.4, 0.3, seed=1).assign(step=0), answers(30, 0.7, 0.3, seed=2).assign(step=5)
    facts = pd.concat([first, second], ignore_index=True)
    summary = summarise(facts, ["step"], EXACT).set_index(["step", "split", "kind", "metric"])
    assert len(summary) == 2 * 2 * 7 * 4
    for (step, split, kind, metric), row in summary.iterrows():
        cell = facts[(facts["step"] == step) & (facts["split"] == split)]
        cell = cell if kind == "all" else cell[cell["kind"] == kind]
        values = cell[metric].astype(float)
        assert row["value"] == pytest.approx(values.mean())
        assert row["n"] == len(cell)
        if metric in ("exact_match", "first_token_hard"):
            np.testing.assert_allclose(row[["low", "high"]].astype(float), clustered_wilson(values, cell["unit"])[1:])
        else:
            residual = (values - values.mean()).groupby(cell["unit"]).sum()
            variance = (residual**2).sum() / len(cell) ** 2 * len(residual) / (len(residual) - 1)
            assert row["high"] - row["value"] == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))


def test_summarise_keeps_key_columns_and_needs_none() -> None:
    facts = answers(4, 0.5, 0.2).assign(arm="seq", seed=3)
    assert list(summarise(facts, ["arm", "seed"], EXACT).columns[:4]) == ["arm", "seed", "split", "kind"]
    assert list(summarise(facts, [], EXACT).columns) == ["split", "kind", "metric", "value", "n", "low", "high"]


def test_summarise_is_fast_enough_for_dense_evaluation() -> None:
    facts = answers(750, 0.5, 0.2).assign(step=0)
    summarise(facts, ["step"], EXACT)
    best = min(_seconds(facts) for _ in range(5))
    assert best < 0.05


def _seconds(facts: pd.DataFrame) -> float:
    start = time.perf_counter()
    summarise(facts, ["step"], EXACT)
    return time.perf_counter() - start


def test_bootstrap_weights_are_draws_with_replacement() -> None:
    weights = unit_bootstrap(20, 3000, seed=4)
    assert weights.shape == (3000, 20)
    assert (weights.sum(axis=1) == 20).all()
    np.testing.assert_allclose(weights.var(axis=0), 0.95, rtol=0.15)
    np.testing.assert_array_equal(weights, unit_bootstrap(20, 3000, seed=4))


def test_t_interval_agrees_with_scipy() -> None:
    sample = [0.91, 0.95, 0.88, np.nan]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(sample[:3]), scale=stats.sem(sample[:3]))
    np.testing.assert_allclose(t_interval(sample), (np.mean(sample[:3]), low, high))
    assert np.isnan(t_interval([0.5]).low) and t_interval([0.5]).value == 0.5
    assert np.isnan(t_interval([np.nan]).value)


def test_over_seeds_averages_what_every_seed_has() -> None:
    frame = pd.DataFrame(
        {"seed": [0, 0, 1, 1, 2, 2], "step": [0, 5, 0, 5, 0, 7], "value": [0.9, 0.1, 1.0, 0.2, 0.8, 0.3], "low": np.nan, "high": np.nan}
    )
    merged = over_seeds(frame, ["step"], kind=UNBOUNDED)
    assert merged["step"].tolist() == [0]
    np.testing.assert_allclose(merged.loc[0, ["value", "low", "high"]].astype(float), t_interval([0.9, 1.0, 0.8]))
    assert over_seeds(frame[frame["seed"] == 0], ["step"], seeds=3, kind=UNBOUNDED).empty
    single = over_seeds(frame[frame["seed"] == 0].assign(low=0.0, high=1.0), ["step"], kind=PROPORTION)
    assert single[["value", "low", "high"]].to_numpy().tolist() == [[0.9, 0.0, 1.0], [0.1, 0.0, 1.0]]


def test_a_number_that_a_seed_lacks_has_no_mean_over_the_others() -> None:
    frame = pd.DataFrame({"seed": [0, 1, 2], "arm": "ewc", "value": [0.5, np.nan, 0.6], "low": 0.4, "high": 0.7})
    assert over_seeds(frame, ["arm"], kind=PROPORTION)[["value", "low", "high"]].isna().all(axis=None)
    assert np.isnan(mean_over_seeds([0.5, np.nan, 0.6], PROPORTION)).all()


def _by_optimiser(values: list[float], kind: Kind) -> tuple[float, float]:
    """Delta-method ends with the derivative taken numerically, and the transformation inverted by a root finder."""
    forward = {
        PROPORTION: lambda x: np.log(x / (1 - x)),
        CORRELATION: np.arctanh,
        RATIO: np.log,
    }[kind]
    mean, step = np.mean(values), 1e-6
    slope = (forward(mean + step) - forward(mean - step)) / (2 * step)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) * slope
    inside = {PROPORTION: (1e-12, 1 - 1e-12), CORRELATION: (-1 + 1e-12, 1 - 1e-12), RATIO: (1e-12, 1e6)}[kind]
    low, high = (
        optimize.brentq(lambda x, end=end: forward(x) - end, *inside, xtol=1e-14) for end in forward(mean) + np.array([-half, half])
    )
    return low, high


@pytest.mark.parametrize(
    ("values", "kind"), [([0.9, 1.0, 0.8], PROPORTION), ([0.86, 0.7, 0.95], CORRELATION), ([0.3, 1.2, 2.0, 0.7, 0.9], RATIO)]
)
def test_the_scale_of_an_interval_is_that_of_its_kind(values: list[float], kind: Kind) -> None:
    found = t_interval(values, kind)
    assert found.value == pytest.approx(np.mean(values))
    np.testing.assert_allclose(found[1:], _by_optimiser(values, kind), rtol=1e-6)
    frame = pd.DataFrame({"seed": range(len(values)), "arm": "seq", "value": values, "low": np.nan, "high": np.nan})
    np.testing.assert_allclose(over_seeds(frame, ["arm"], kind=kind)[["value", "low", "high"]].to_numpy()[0], found)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0.997, 0.994, 1.0], PROPORTION), ([0.48, 0.89, 1.0], PROPORTION), ([0.31, 1.0, 0.99], CORRELATION), ([0.0, 0.1, 0.9], RATIO)]
    + [([0.9, -0.9, 1.0], DIFFERENCE)],
)
def test_intervals_stay_within_the_bounds_where_plain_t_does_not(values: list[float], kind: Kind) -> None:
    plain, found = t_interval(values), t_interval(values, kind)
    assert plain.low < kind.low or plain.high > kind.high
    assert kind.low <= found.low < found.value < found.high <= kind.high


def test_a_difference_far_from_its_bounds_has_nearly_the_t_interval() -> None:
    np.testing.assert_allclose(t_interval([0.05, 0.06, 0.04], DIFFERENCE), t_interval([0.05, 0.06, 0.04]), atol=2e-4)


def test_seeds_that_agree_are_as_sure_as_their_persons_and_no_surer() -> None:
    """Three seeds with all of 60 persons right: 180 persons would reach down to 0.979, one seed's 60 to 0.940."""
    low = float(wilson(60, 60)[0])
    frame = pd.DataFrame({"seed": [0, 1, 2], "arm": "seq", "value": 1.0, "low": low, "high": 1.0})
    merged = over_seeds(frame, ["arm"], kind=PROPORTION).loc[0]
    assert low < merged["low"] < float(wilson(180, 180)[0]) and merged["high"] == 1
    assert mean_over_seeds([1.0] * 3, PROPORTION, [low] * 3, [1.0] * 3).low == pytest.approx(merged["low"])
    assert np.isnan(t_interval([0.7, 0.7, 0.7], PROPORTION).low), "nothing says how they vary"
    assert np.isnan(over_seeds(frame.assign(low=np.nan, high=np.nan), ["arm"], kind=PROPORTION).loc[0, "low"])


def test_a_mean_beyond_the_bounds_of_its_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        t_interval([1.2, 1.1], PROPORTION)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("truth", [0.05, 0.5, 0.97])
def test_intervals_of_a_share_over_seeds_cover_its_mean_and_plain_t_covers_less_at_the_border(seeds: int, truth: float) -> None:
    """Seeds with their own truths (logit normal, 0.7 wide), each measured on 60 persons; covered must be the mean of such truths."""
    generator, units = np.random.default_rng(5), 60

    def truths(shape: tuple[int, ...]) -> np.ndarray:
        return 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + 0.7 * generator.standard_normal(shape))))

    target, drawn = truths((200_000,)).mean(), 1500
    shares = generator.binomial(units, truths((drawn, seeds))) / units
    lows, highs = wilson(shares * units, units)
    frame = pd.DataFrame({"seed": np.tile(np.arange(seeds), drawn), "study": np.repeat(np.arange(drawn), seeds), "value": shares.ravel()})
    found = over_seeds(frame.assign(low=lows.ravel(), high=highs.ravel()), ["study"], kind=PROPORTION)
    covered = ((found["low"] <= target) & (target <= found["high"])).mean()
    half = stats.t.ppf(0.975, seeds - 1) * stats.sem(shares, axis=1)
    plain = (np.abs(shares.mean(axis=1) - target) <= half).mean()
    beyond = ((shares.mean(axis=1) - half < 0) | (shares.mean(axis=1) + half > 1)).mean()
    assert covered > 0.94, (covered, plain)  # less twice the standard error of 1500 draws
    assert ((found["low"] >= 0) & (found["high"] <= 1) & (found["low"] < found["high"])).all()
    if truth != 0.5:
        assert plain < 0.94 and plain < covered and beyond > 0.3, (plain, beyond)


def test_several_intervals_together_are_those_of_a_smaller_error_each() -> None:
    values = [0.10, 0.16, 0.13]
    half = stats.t.ppf(1 - 0.05 / 2 / 10, 2) * stats.sem(values)
    found = mean_over_seeds(values, UNBOUNDED, comparisons=10)
    np.testing.assert_allclose(found, (np.mean(values), np.mean(values) - half, np.mean(values) + half))
    wide = mean_over_seeds([0.99, 0.99, 0.99], DIFFERENCE, [0.1] * 3, [1.0] * 3, comparisons=40)
    assert -1 < wide.low < mean_over_seeds([0.99, 0.99, 0.99], DIFFERENCE, [0.1] * 3, [1.0] * 3).low and wide.high <= 1


def test_a_difference_of_the_same_persons_is_as_wide_as_its_bootstrap_away_from_the_border() -> None:
    generator = np.random.default_rng(3)
    ability = generator.beta(4, 2, 400)
    first, second = (generator.binomial(6, share) / 6 for share in (ability, ability * 0.8))
    found = paired_difference(first, second, 6)
    draws = unit_bootstrap(400, 4000, seed=2) @ (first - second) / 400
    assert found.value == pytest.approx((first - second).mean())
    np.testing.assert_allclose(found[1:], np.quantile(draws, [0.025, 0.975]), atol=0.006)


def test_a_difference_of_equal_answers_has_width() -> None:
    """Nobody of 60 differs: as if two of 62 did, by one of six answers and in opposite ways, so the variance of one is 2 / 36 / 61."""
    half = stats.norm.ppf(0.975) * np.sqrt(2 / 36 / 61 / 62)
    np.testing.assert_allclose(paired_difference(np.ones(60), np.ones(60), 6), (0, -half, half), rtol=1e-3)
    assert 0.005 < half < 3 / 360  # no wider than the rule of three for 360 answers
    everything = paired_difference(np.zeros(60), np.ones(60), 6)
    assert everything.value == everything.low == -1 and -1 < everything.high < -0.9
    assert paired_difference(np.tile([0.0, 1.0], 30), np.tile([0.0, 1.0], 30), 6).low < 0


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
