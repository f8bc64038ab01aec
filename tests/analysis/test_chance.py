from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from forgetting.analysis.chance import less_chance, mean_excess, pooled

KEYS = {"scale": "tiny", "arm": "seq", "former": "task0", "latter": "task1_early", "metric": "mean_angle"}
COMPONENTS = ("query", "key")


def weights(shifts: dict[int, list[float]], spread: float = 1.0, noise: float = 0.0) -> pd.DataFrame:
    """WEIGHTS rows of two components: in each seed, `shifts` by layer on a chance level that differs from row to row."""
    generator = np.random.default_rng(0)
    rows = []
    for seed, of_seed in shifts.items():
        for layer, shift in enumerate(of_seed):
            for component in COMPONENTS:
                chance = generator.uniform(20, 60)
                value = chance + shift + noise * generator.standard_normal()
                rows.append((seed, layer, component, value, chance, chance - 1.96 * spread, chance + 1.96 * spread))
    columns = ["seed", "layer", "component", "value", "chance", "chance_low", "chance_high"]
    return pd.DataFrame(rows, columns=columns).assign(other_layers=-1.0, **KEYS)


def only(frame: pd.DataFrame, component: str) -> pd.Series:
    return frame[frame["component"] == component].iloc[0]


def test_chance_is_taken_off_where_there_is_one():
    frame = weights({0: [-5.0, 3.0]})
    bare = frame.assign(chance=np.nan, chance_low=np.nan, chance_high=np.nan, metric="rank")
    frozen = frame.assign(value=np.nan)
    excess = less_chance(pd.concat([frame, bare, frozen]))
    assert excess["value"].tolist() == pytest.approx([-5, -5, 3, 3])
    np.testing.assert_allclose(excess[["chance_low", "chance_high"]], [[-1.96, 1.96]] * 4)


def test_a_single_matrix_is_held_against_its_own_range():
    frame = weights({0: [-2.5, 0.5, 2.5]})
    found = mean_excess(less_chance(frame), ["component", "layer"])
    assert found["side"].tolist() == [-1, -1, 0, 0, 1, 1]
    np.testing.assert_allclose(found[["chance_low", "chance_high"]], [[-1.96, 1.96]] * 6)


def test_updates_of_full_rank_are_within_chance():
    """Both angles are 0 but for rounding, and so is the range."""
    row = pd.DataFrame({"layer": [0], "value": 3e-6, "chance": 0.0, "chance_low": 1e-6, "chance_high": 2e-6})
    assert mean_excess(less_chance(row), ["layer"])["side"].tolist() == [0]


def test_range_of_a_mean_is_that_of_the_mean_of_random_updates():
    spreads = np.array([0.5, 1.0, 3.0])
    rows = pd.DataFrame({"seed": [0, 1, 2], "value": 0.4, "chance_low": -1.96 * spreads, "chance_high": 1.96 * spreads, "layer": 0})
    found = mean_excess(rows, ["layer"]).iloc[0]
    draws = (np.random.default_rng(0).standard_normal((200_000, 3)) * spreads).mean(axis=1)
    assert [found["chance_low"], found["chance_high"]] == pytest.approx(np.quantile(draws, [0.025, 0.975]), rel=0.02)


def test_one_seed_has_the_interval_of_its_matrices():
    frame = weights({0: [-4.0, -6.0, 1.0]})
    found = only(pooled(frame), "all")
    excess = (frame["value"] - frame["chance"]).to_numpy()
    expected = scipy.stats.t.interval(0.95, 5, excess.mean(), excess.std(ddof=1) / np.sqrt(6))
    assert found["value"] == pytest.approx(-3)
    assert [found["low"], found["high"]] == pytest.approx(expected)
    assert [found["matrices"], found["below"], found["above"]] == [6, 4, 0]
    assert [found["chance_low"], found["chance_high"]] == pytest.approx([-1.96 / np.sqrt(6), 1.96 / np.sqrt(6)])


def test_several_seeds_have_the_interval_over_seeds():
    found = pooled(weights({0: [-4.0, -6.0], 1: [-4.0, -4.0], 2: [-1.0, -7.0]}))
    for component, matrices in (("all", 4), ("query", 2)):
        row = only(found, component)
        means = np.array([-5.0, -4.0, -4.0])
        expected = scipy.stats.t.interval(0.95, 2, means.mean(), means.std(ddof=1) / np.sqrt(3))
        assert row["value"] == pytest.approx(means.mean())
        assert [row["low"], row["high"]] == pytest.approx(expected)
        assert row["matrices"] == matrices
        assert row["below"] == pytest.approx(matrices * 5 / 6)


def test_random_updates_are_within_chance_and_planted_ones_are_not():
    layers = 60
    random = only(pooled(weights({0: [0.0] * layers}, noise=1.0)), "all")
    assert random["chance_low"] < random["value"] < random["chance_high"]
    assert random["below"] + random["above"] <= 0.05 * 2 * layers + 3 * np.sqrt(0.05 * 0.95 * 2 * layers)
    planted = only(pooled(weights({0: [-0.5] * layers}, noise=1.0)), "all")
    assert planted["value"] == pytest.approx(-0.5, abs=3 / np.sqrt(2 * layers))
    assert planted["value"] < planted["chance_low"] and planted["high"] < 0


def test_embeddings_are_not_pooled_with_the_blocks():
    """They have no other layers, so the mean of those would be over fewer matrices than the mean it is drawn beside."""
    blocks = weights({0: [-4.0, -6.0]})
    embedding = blocks.iloc[:1].assign(component="embedding", layer=-1, value=blocks["chance"].iloc[0] - 50, other_layers=np.nan)
    output = embedding.assign(component="output_embedding", layer=2)
    found = pooled(pd.concat([blocks, embedding, output], ignore_index=True))
    pd.testing.assert_series_equal(only(found, "all"), only(pooled(blocks), "all"), check_names=False)
    assert only(found, "all")["other_layers"] == -1
    for component in ("embedding", "output_embedding"):
        assert only(found, component)["value"] == pytest.approx(-50) and np.isnan(only(found, component)["other_layers"])


def test_a_frozen_matrix_counts_nowhere():
    frame = weights({0: [-4.0, -6.0]})
    frame.loc[frame["layer"] == 1, ["value", "chance", "chance_low", "chance_high"]] = np.nan
    row = only(pooled(frame), "all")
    assert (row["value"], row["matrices"], row["below"]) == (pytest.approx(-4), 2, 2)
    assert only(pooled(frame), "query")["matrices"] == 1 and np.isnan(only(pooled(frame), "query")["low"])
