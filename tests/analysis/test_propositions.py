from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, spearmanr
from scipy.stats import t as student

from forgetting.analysis.propositions import (
    BOUND_SLOPE,
    DEPTH,
    DOSE,
    PREMISE,
    REDUCTION,
    RELATIVE_DEPTH,
    SLOPE,
    STREAM_MEAN,
    STREAM_SINGLE,
    rank_correlation,
    ratio_to_chance,
    slope,
    supported,
    theory_verdicts,
)
from forgetting.intervals import Interval
from forgetting.schemas.theory import THEORY, THEORY_VERDICTS
from forgetting.tables import read_table, write_table

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
    rows += [(4, "stream", name, 1.0, 0.9, 1.0, 0.0) for name in ("depth_correlation", "relative_depth_correlation")]
    rows += [(n, "stream", "bound_if_frozen", 8.0 - 2 * n, np.nan, np.nan, np.nan) for n in range(5)]
    frame = pd.DataFrame(rows, columns=["layer", "component", "metric", "value", "low", "high", "chance"])
    return frame.assign(scale="tiny", seed=seed, arm=arm, after="task1_end", split="task0_test", chance_low=np.nan, chance_high=np.nan)


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
        assert supported(expected, Interval((low + high) / 2, low, high), 1.0, seeds=2) == verdict_


def test_planted_propositions(tmp_path):
    arms = [table("seq"), table("freeze-1", last=8.0), table("freeze-3", last=4.0, shares=0.01)]
    write_table(pd.concat(arms), tmp_path / "theory.parquet", THEORY)
    write_table(theory_verdicts(read_table(tmp_path / "theory.parquet", THEORY)), tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    found = read_table(tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    assert verdict(found, "seq", PREMISE)["supported"] == "in this run: above"
    assert verdict(found, "freeze-3", PREMISE)["supported"] == "in this run: below"
    assert verdict(found, "seq", PREMISE)["value"] == pytest.approx(4, rel=0.15)
    assert verdict(found, "seq", DOSE)["value"] == pytest.approx(1) and verdict(found, "seq", DOSE)["supported"] == "in this run: above"
    assert verdict(found, "seq", DEPTH)[["value", "supported"]].tolist() == [1, "not tested"]
    assert verdict(found, "seq", RELATIVE_DEPTH)["supported"] == "in this run: above"
    assert verdict(found, "freeze-1", REDUCTION)["value"] == pytest.approx(0.8)
    assert verdict(found, "freeze-1", REDUCTION)["supported"] == "in this run: below"
    assert (
        verdict(found, "freeze", SLOPE)["value"] == pytest.approx(-0.2)
        and verdict(found, "freeze", SLOPE)["supported"] == "in this run: below"
    )
    assert verdict(found, "freeze", BOUND_SLOPE)["value"] == pytest.approx(-0.2)
    assert verdict(found, "freeze", BOUND_SLOPE)["supported"] == "not tested"


def test_several_seeds_give_the_interval_over_seeds():
    lengths = (8.0, 7.0, 8.5)
    frames = [table(arm, seed, last=last) for seed, length in enumerate(lengths) for arm, last in (("seq", 10.0), ("freeze-1", length))]
    row = verdict(theory_verdicts(pd.concat(frames)), "freeze-1", REDUCTION)
    ratios = np.array(lengths) / 10
    half = student.ppf(0.975, 2) * ratios.std(ddof=1) / np.sqrt(3)
    assert row[["value", "low", "high"]].tolist() == pytest.approx(
        [ratios.mean(), ratios.mean() * np.exp(-half / ratios.mean()), ratios.mean() * np.exp(half / ratios.mean())]
    )


def test_only_several_seeds_support_or_refute():
    """Persons of one run are no sample of runs: however sure they are, the words are not yes and no."""
    one = theory_verdicts(pd.concat([table("seq"), table("freeze-1", last=4.0)]))
    assert not set(one["supported"]) & {"yes", "no", "undecided"}
    several = theory_verdicts(
        pd.concat([table(arm, seed, last=at + seed / 10) for seed in (0, 1, 2) for arm, at in (("seq", 10.0), ("freeze-1", 4.0))])
    )
    assert verdict(several, "freeze-1", REDUCTION)["supported"] == "yes"


def test_seeds_that_agree_on_a_correlation_do_not_leave_its_range():
    frames = [table("seq", seed) for seed in range(3)]
    for frame, value in zip(frames, (0.31, 1.0, 1.0), strict=True):
        here = frame["metric"] == "relative_depth_correlation"
        frame.loc[here, ["value", "low", "high"]] = (value, value - 0.1, min(1.0, value + 0.1))
    found = verdict(theory_verdicts(pd.concat(frames)), "seq", RELATIVE_DEPTH)
    assert -1 < found["low"] < found["value"] < found["high"] <= 1


def test_without_seq_there_is_no_third_proposition():
    assert set(theory_verdicts(table("freeze-1"))["proposition"]) == {1, 2}


def test_ratio_is_a_mean_of_layers():
    rows = pd.DataFrame({"layer": [1, 1, 2], "value": [0.1, 0.4, 0.8], "chance": [0.1, 0.1, 0.1]})
    half = student.ppf(0.975, 1) * np.std([2.5, 8.0], ddof=1) / np.sqrt(2)  # of layer 1: the mean of 1 and 4
    assert ratio_to_chance(rows) == pytest.approx([5.25, 5.25 * np.exp(-half / 5.25), 5.25 * np.exp(half / 5.25)])


@pytest.mark.parametrize(("layers", "components", "width"), [(4, 8, 256), (12, 32, 768)])
def test_random_shares_are_seldom_decided(layers: int, components: int, width: int):
    """The share of a random direction is Beta(k/2, (d - k)/2). Its skew may add 1 % to the nominal 2.5 % a side (3 standard errors)."""
    draws, maps = 1000, 6
    shares = np.random.default_rng(components).beta(components / 2, (width - components) / 2, (draws, layers * maps))
    frame = pd.DataFrame({"layer": np.repeat(np.arange(layers), maps), "chance": components / width})
    found = [supported("below", ratio_to_chance(frame.assign(value=row)), 1.0, seeds=2) for row in shares]
    for side in ("yes", "no"):
        assert found.count(side) / draws <= 0.035 + 3 * np.sqrt(0.035 * 0.965 / draws)


def test_the_residual_stream_is_judged_by_the_persons_of_its_last_layer():
    """The other layers would say no. Last layer: single shifts surely above chance, the mean shift not surely below."""
    rows = [(layer, metric, 0.5, 0.4, 0.6) for layer in (1, 2, 3) for metric in ("single_shifts_along", "mean_shift_along")]
    rows += [(4, "single_shifts_along", 0.06, 0.055, 0.07), (4, "mean_shift_along", 0.04, 0.03, 0.051)]
    stream = pd.DataFrame(rows, columns=["layer", "metric", "value", "low", "high"]).assign(component="stream", chance=CHANCE)
    frame = pd.concat([table("seq"), stream.assign(scale="tiny", seed=0, arm="seq", after="task1_end", split="task0_test")])
    single, mean = (verdict(theory_verdicts(frame), "seq", statistic) for statistic in (STREAM_SINGLE, STREAM_MEAN))
    assert single[["value", "low", "high"]].tolist() == pytest.approx([1.2, 1.1, 1.4]) and single["supported"] == "in this run: above"
    assert mean[["value", "low", "high"]].tolist() == pytest.approx([0.8, 0.6, 1.02]) and mean["supported"] == "in this run: open"


def test_rules_say_what_they_go_by():
    assert "layers (no independent sample)" in PREMISE.rule and "maps (no independent sample)" in DOSE.rule
    assert "over persons" in STREAM_SINGLE.rule and STREAM_SINGLE.rule.startswith("over several seeds: yes if")
    assert DEPTH.rule.startswith("not tested") and BOUND_SLOPE.rule.startswith("not tested")


def test_a_layer_that_cannot_move_is_no_evidence():
    """Frozen layers are at zero: no correlation with depth. With all frozen the last one is, and gives no reduction and no slope."""
    frozen = table("freeze-2", last=6.0)
    frozen.loc[(frozen["metric"] == "shift_norm") & (frozen["layer"] <= 2), ["value", "low", "high"]] = 0.0
    found = theory_verdicts(pd.concat([table("seq"), table("freeze-0"), frozen, table("freeze-4", last=0.0)]))
    correlated = found[found["statistic"].isin([DEPTH.name, RELATIVE_DEPTH.name])]
    assert set(correlated["arm"]) == {"seq", "freeze-0"}
    reduced = found[found["statistic"] == REDUCTION.name]
    assert reduced["arm"].tolist() == ["freeze-0", "freeze-2"]
    assert verdict(found, "freeze", SLOPE)["value"] == pytest.approx((0.6 - 1) / 2)


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
