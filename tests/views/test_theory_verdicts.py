from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, spearmanr
from scipy.stats import t as student

from forgetting.statistics import Interval
from forgetting.tables import THEORY, THEORY_VERDICTS, read_table, write_table
from forgetting.views.theory_verdicts import (
    BOUND_SLOPE,
    DEPTH,
    DOSE,
    PREMISE,
    REDUCTION,
    SLOPE,
    rank_correlation,
    ratio_to_chance,
    slope,
    supported,
    theory_verdicts,
)

CHANCE = 0.05


def table(arm: str, seed: int = 0, shares: float = 0.2, last: float = 10.0) -> pd.DataFrame:
    """One arm of four layers: all shares near `shares` (chance 0.05), shifts that grow linearly to `last`."""
    generator = np.random.default_rng([seed, len(arm)])
    rows = []
    for layer in range(1, 5):
        for component in ("query", "key", "mlp_input"):
            dose = float(np.exp(0.1 * generator.standard_normal()))
            rows += [
                (layer, component, "update_on_leading_inputs", shares * dose, np.nan, np.nan, CHANCE),
                (layer, component, "single_shifts_along", shares * dose, np.nan, np.nan, CHANCE),
            ]
        length = last * layer / 4
        rows.append((layer, "stream", "shift_norm", length, 0.98 * length, 1.02 * length, np.nan))
    rows.append((4, "stream", "depth_correlation", 1.0, 0.9, 1.0, 0.0))
    rows += [(n, "stream", "bound_if_frozen", 8.0 - 2 * n, np.nan, np.nan, np.nan) for n in range(5)]
    frame = pd.DataFrame(rows, columns=["layer", "component", "metric", "value", "low", "high", "chance"])
    return frame.assign(scale="tiny", seed=seed, arm=arm, after="task1_end", group="task0_test", chance_low=np.nan, chance_high=np.nan)


def verdict(frame: pd.DataFrame, arm: str, statistic) -> pd.Series:
    (row,) = (row for _, row in frame.iterrows() if row["arm"] == arm and row["statistic"] == statistic.name)
    return row


def test_the_rule():
    for expected, low, high, verdict_ in (
        ("below", 0.2, 0.9, "yes"),
        ("below", 1.1, 2.0, "no"),
        ("below", 0.9, 1.1, "undecided"),
        ("above", 1.1, 2.0, "yes"),
        ("above", 0.2, 0.9, "no"),
        ("above", np.nan, np.nan, "undecided"),
        ("", 0.2, 0.9, "not tested"),
    ):
        assert supported(expected, Interval((low + high) / 2, low, high), 1.0) == verdict_


def test_planted_propositions(tmp_path):
    arms = [table("seq"), table("freeze-1", last=8.0), table("freeze-3", last=4.0, shares=0.01)]
    write_table(pd.concat(arms), tmp_path / "theory.parquet", THEORY)
    write_table(theory_verdicts(read_table(tmp_path / "theory.parquet", THEORY)), tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    found = read_table(tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    assert verdict(found, "seq", PREMISE)["supported"] == "no"
    assert verdict(found, "freeze-3", PREMISE)["supported"] == "yes"
    assert verdict(found, "seq", PREMISE)["value"] == pytest.approx(4, rel=0.15)
    assert verdict(found, "seq", DOSE)["value"] == pytest.approx(1) and verdict(found, "seq", DOSE)["supported"] == "yes"
    assert verdict(found, "seq", DEPTH)["supported"] == "yes"
    assert verdict(found, "freeze-1", REDUCTION)["value"] == pytest.approx(0.8)
    assert verdict(found, "freeze-1", REDUCTION)["supported"] == "yes"
    assert verdict(found, "freeze", SLOPE)["value"] == pytest.approx(-0.2) and verdict(found, "freeze", SLOPE)["supported"] == "yes"
    assert verdict(found, "freeze", BOUND_SLOPE)["value"] == pytest.approx(-0.2)
    assert verdict(found, "freeze", BOUND_SLOPE)["supported"] == "not tested"


def test_several_seeds_give_the_interval_over_seeds():
    lengths = (8.0, 7.0, 8.5)
    frames = [table(arm, seed, last=last) for seed, length in enumerate(lengths) for arm, last in (("seq", 10.0), ("freeze-1", length))]
    row = verdict(theory_verdicts(pd.concat(frames)), "freeze-1", REDUCTION)
    ratios = np.array(lengths) / 10
    half = student.ppf(0.975, 2) * ratios.std(ddof=1) / np.sqrt(3)
    assert row[["value", "low", "high"]].tolist() == pytest.approx([ratios.mean(), ratios.mean() - half, ratios.mean() + half])


def test_without_seq_there_is_no_third_proposition():
    assert set(theory_verdicts(table("freeze-1"))["proposition"]) == {1, 2}


def test_ratio_is_a_geometric_mean_of_layers():
    rows = pd.DataFrame({"layer": [1, 1, 2], "value": [0.1, 0.4, 0.8], "chance": [0.1, 0.1, 0.1]})
    found = ratio_to_chance(rows)
    logs = np.log([2.0, 8.0])  # of layer 1: the geometric mean of 1 and 4
    half = student.ppf(0.975, 1) * logs.std(ddof=1) / np.sqrt(2)
    assert found == pytest.approx(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))


def test_rank_correlation_and_the_coverage_of_its_interval():
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((2, 25))
    assert rank_correlation(first, second).value == pytest.approx(spearmanr(first, second).statistic)
    covered = [(found := rank_correlation(*generator.standard_normal((2, 25)))).low <= 0 <= found.high for _ in range(400)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_slope_against_scipy_and_its_error_by_simulation():
    x, y, errors = np.array([0.0, 1, 2, 4]), np.array([3.0, 2, 2.5, 0]), np.array([0.1, 0.2, 0.1, 0.3])
    found = slope(x, y, errors)
    assert found.value == pytest.approx(linregress(x, y).slope)
    draws = y + errors * np.random.default_rng(1).standard_normal((4000, 4))
    slopes = [np.polyfit(x, draw, 1)[0] for draw in draws]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(slopes), rel=0.05)
