from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

from forgetting.analysis.propositions import (
    AS_PREDICTED,
    GROWTH,
    HOLDS,
    MOVED,
    OF_SHIFTS,
    PREDICTED_SLOPE,
    PREMISE_MET,
    REDUCTION,
    RELATIVE_DEPTH,
    SLOPE,
    STATISTICS,
    UPDATED,
    WRITTEN,
    WRITTEN_FIRST,
    answer,
    over_layers,
    slope,
    theory_verdicts,
    updates_over_seq,
)
from forgetting.intervals import Interval
from forgetting.schemas.theory import THEORY, THEORY_VERDICTS
from forgetting.tables import read_table, write_table

CHANCE, LAYERS = 0.05, 4
MEAN_FIRST, MEAN, SINGLE_FIRST, SINGLE = OF_SHIFTS.values()
"""Of each, its cosine and its share over chance."""


def table(
    arm: str,
    seed: int = 0,
    last: float = 10.0,
    written: float = 0.02,
    written_first: float | None = None,
    mean: float = 0.02,
    single: float = 0.04,
    update: float = 1.0,
    frozen: int = 0,
) -> pd.DataFrame:
    """One arm of four layers, of which the bottom ones may be frozen: what updates write and where they shift mean and single questions as
    shares (chance 0.05; of the first component an eighth, unless said), updates of this size, and shifts that grow linearly to `last`."""
    rows = []
    for layer in range(1, LAYERS + 1):
        if layer > frozen:
            for component in ("attention_output", "mlp_output", "query"):
                rows.append((layer, component, "update_norm", update, np.nan, np.nan, np.nan))
                if component != "query":
                    first = written / 8 if written_first is None else written_first
                    rows.append((layer, component, "written_along", written, np.nan, np.nan, CHANCE))
                    rows.append((layer, component, "written_along_first", first, np.nan, np.nan, CHANCE / 8))
            for metric, share in (("mean_shift_along", mean), ("single_shifts_along", single)):
                rows.append((layer, "stream", metric, share, 0.9 * share, 1.1 * share, CHANCE))
                rows.append((layer, "stream", f"{metric}_first", share / 8, 0.9 * share / 8, 1.1 * share / 8, CHANCE / 8))
        length = last * max(layer - frozen, 0) / (LAYERS - frozen)
        rows.append((layer, "stream", "shift_norm", length, 0.98 * length, 1.02 * length, np.nan))
        rows.append((layer, "stream", "relative_shift_norm", length / 5, 0.98 * length / 5, 1.02 * length / 5, np.nan))
        rows.append((layer, "stream", "own_norm", 2.0 * (layer > frozen), np.nan, np.nan, np.nan))
        rows.append((layer, "stream", "shift_bound", 1.2 * length, np.nan, np.nan, np.nan))
    rows.append((LAYERS, "stream", "relative_depth_correlation", 1.0, 0.9, 1.0, 0.0))
    rows += [(n, "stream", "predicted_if_frozen", 1.2 * last * (1 - (n + 1) / 5), np.nan, np.nan, np.nan) for n in range(LAYERS + 1)]
    frame = pd.DataFrame(rows, columns=["layer", "component", "metric", "value", "low", "high", "chance"])
    return frame.assign(scale="tiny", seed=seed, arm=arm, after="task1_end", split="task0_test", chance_low=np.nan, chance_high=np.nan)


def verdict(frame: pd.DataFrame, arm: str, statistic) -> pd.Series:
    (row,) = (row for _, row in frame.iterrows() if row["arm"] == arm and row["statistic"] == statistic.name)
    return row


def said(frame: pd.DataFrame, statistic, arm: str = "seq", after: str = "task1_end") -> str:
    return verdict(theory_verdicts(frame).query("after == @after"), arm, statistic)["verdict"].removeprefix("in this run: ")


def test_every_statistic_has_a_name_of_its_own_and_names_of_others_that_there_are():
    names = [statistic.name for statistic in STATISTICS]
    assert len(set(names)) == len(names)
    assert {statistic.chance for statistic in STATISTICS} - {""} <= set(names)
    premises = {statistic.name: statistic.proposition for statistic in STATISTICS if statistic.asks == PREMISE_MET}
    judged = [statistic for statistic in STATISTICS if statistic.asks == HOLDS and statistic.expected]
    assert all(premises[statistic.premise] == statistic.proposition for statistic in judged)


@pytest.mark.parametrize(
    ("low", "high", "below", "above"),
    [(0.2, 0.9, "yes", "no"), (1.1, 2.0, "no", "yes"), (0.9, 1.1, "undecided", "undecided")],
)
def test_only_a_whole_interval_answers(low, high, below, above):
    for expected, found in (("below", below), ("above", above)):
        statistic = REDUCTION._replace(expected=expected, yes="yes", no="no")
        assert answer(statistic, Interval((low + high) / 2, low, high)) == found
    assert answer(PREDICTED_SLOPE, Interval(0.5, low, high)) == ""


def test_a_number_without_interval_is_compared_as_it_is():
    assert [answer(UPDATED, Interval(value, np.nan, np.nan)) for value in (1.0, 0.75)] == ["premise met", "premise not met"]
    assert [answer(MOVED, Interval(value, np.nan, np.nan)) for value in (1.0, 0.9, 2.5)] == ["premise met"] * 2 + ["premise not met"]


# Premise and conclusion, planted apart. What counts as nearly orthogonal is a share of cos(75 degrees)^2 = 0.067.
CASES = {
    "all as the theory says": ({}, "premise met", "holds", "holds"),
    "premise met, conclusion fails": ({"mean": 0.3, "single": 0.3}, "premise met", "does not hold", "does not hold for single questions"),
    "premise fails, conclusion is seen": ({"written": 0.3}, "premise not met", "does not apply (holds)", "does not apply (holds)"),
    "premise fails, conclusion fails": (
        {"written": 0.3, "mean": 0.3, "single": 0.3},
        "premise not met",
        "does not apply (does not hold)",
        "does not apply (does not hold for single questions)",
    ),
    "holds for the mean alone": ({"single": 0.2}, "premise met", "holds", "does not hold for single questions"),
    "at chance": (
        {"mean": 0.05, "single": 0.05},
        "premise met",
        "holds, no better than a random direction",
        "holds, no better than a random direction",
    ),
    "undecided": ({"mean": 0.067}, "premise met", "undecided", "holds"),
}


@pytest.mark.parametrize("case", CASES)
def test_premise_conclusion_and_chance_are_told_apart(case):
    given, premise, mean, single = CASES[case]
    frame = table("seq", **given)
    assert (said(frame, WRITTEN), said(frame, MEAN[0]), said(frame, SINGLE[0])) == (premise, mean, single)


@pytest.mark.parametrize(
    ("written", "first", "verdicts"),
    [
        (0.3, 0.02, ("premise not met", "does not apply (holds)", "premise met", "holds")),
        (0.02, 0.3, ("premise met", "holds", "premise not met", "does not apply (holds)")),
    ],
)
def test_the_first_component_has_a_premise_of_its_own(written, first, verdicts):
    frame = table("seq", written=written, written_first=first, mean=0.02, single=0.04)
    for of, against in (((WRITTEN, MEAN, SINGLE), verdicts[:2]), ((WRITTEN_FIRST, MEAN_FIRST, SINGLE_FIRST), verdicts[2:])):
        premise, mean, single = of
        assert (said(frame, premise), said(frame, mean[0]), said(frame, single[0])) == (*against, against[1])
    assert verdict(theory_verdicts(frame), "seq", WRITTEN_FIRST)["value"] == pytest.approx(np.sqrt(first))


def test_the_papers_own_quantity_may_hold_where_that_along_more_components_does_not():
    frame = table("seq", mean=0.3)
    assert (said(frame, MEAN_FIRST[0]), said(frame, MEAN[0])) == ("holds, worse than a random direction", "does not hold")
    row = verdict(theory_verdicts(frame), "seq", MEAN_FIRST[0])
    assert row["value"] == pytest.approx(np.sqrt(0.3 / 8)) and row["reference"] == pytest.approx(np.cos(np.radians(75)))


def test_planted_numbers(tmp_path):
    arms = [table("seq"), table("freeze-1", last=8.0), table("freeze-3", last=4.0, frozen=3, update=2.0)]
    write_table(pd.concat(arms), tmp_path / "theory.parquet", THEORY)
    write_table(theory_verdicts(read_table(tmp_path / "theory.parquet", THEORY)), tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    found = read_table(tmp_path / "verdicts.parquet", THEORY_VERDICTS)
    assert found["verdict"].str.startswith("in this run: ").sum() == len(found) - 1  # nothing is expected of the predicted slope
    values = {
        ("seq", WRITTEN): np.sqrt(0.02),
        ("seq", WRITTEN_FIRST): np.sqrt(0.02 / 8),
        ("seq", MEAN[1]): 0.02 / 0.05,
        ("seq", SINGLE_FIRST[0]): np.sqrt(0.04 / 8),
        ("seq", SINGLE_FIRST[1]): 0.04 / 0.05,
        ("seq", GROWTH): 4,
        ("seq", UPDATED): 1,
        ("freeze-3", UPDATED): 0.25,
        ("freeze-1", REDUCTION): 0.8,
        ("freeze-1", AS_PREDICTED): 0.8 / 0.6,
        ("freeze-3", MOVED): 2,
        ("freeze", SLOPE): -0.2,
        ("freeze", PREDICTED_SLOPE): -0.2,
    }
    for (arm, statistic), value in values.items():
        assert verdict(found, arm, statistic)["value"] == pytest.approx(value), (arm, statistic.name)
    assert verdict(found, "freeze-1", AS_PREDICTED)["verdict"] == "in this run: more than predicted"
    assert verdict(found, "freeze", SLOPE)["verdict"] == "in this run: holds"


def test_freezing_does_not_apply_where_the_layers_that_train_moved_further():
    frames = pd.concat([table("seq"), table("freeze-1", last=8.0), table("freeze-2", last=12.0, update=2.5)])
    assert (said(frames, MOVED, "freeze-1"), said(frames, REDUCTION, "freeze-1")) == ("premise met", "holds")
    assert (said(frames, MOVED, "freeze-2"), said(frames, REDUCTION, "freeze-2")) == ("premise not met", "does not apply (does not hold)")


def test_only_matrices_that_both_arms_trained_are_compared():
    """`seq` moved its frozen layers, too, and there much further."""
    seq = table("seq")
    seq.loc[(seq["metric"] == "update_norm") & (seq["layer"] <= 2), "value"] = 100.0
    assert updates_over_seq(pd.concat([seq, table("freeze-2", update=0.5, frozen=2)]), "freeze-2") == pytest.approx(0.5)
    assert np.isnan(updates_over_seq(table("freeze-2"), "freeze-2"))


def test_depth_does_not_apply_where_layers_were_not_updated():
    frames = pd.concat([table("seq"), table("freeze-2", frozen=2)])
    assert (said(frames, UPDATED), said(frames, GROWTH)) == ("premise met", "holds")
    assert said(frames, UPDATED, "freeze-2") == "premise not met"
    assert "freeze-2" not in set(theory_verdicts(frames).query("statistic == @GROWTH.name")["arm"]), "its first layer cannot move"


def test_growth_that_depth_does_not_order_is_no_better_than_a_random_order():
    frame = table("seq")
    here = frame["metric"] == "relative_depth_correlation"
    frame.loc[here, ["value", "low", "high"]] = (0.1, -0.2, 0.4)
    assert said(frame, GROWTH) == "holds, no better than a random order"
    frame.loc[here, ["value", "low", "high"]] = (-0.3, -0.4, -0.2)
    assert said(frame, GROWTH) == "holds, worse than a random order"


def test_several_seeds_give_the_interval_over_seeds_and_one_is_told_as_one_run():
    lasts = {0: (10.0, 4.0), 1: (11.0, 5.0), 2: (12.0, 4.5)}
    frames = [table(arm, seed, last) for seed, both in lasts.items() for arm, last in zip(("seq", "freeze-1"), both, strict=True)]
    found = verdict(theory_verdicts(pd.concat(frames)), "freeze-1", REDUCTION)
    ratios = np.array([4 / 10, 5 / 11, 4.5 / 12])
    half = student.ppf(0.975, 2) * ratios.std(ddof=1) / np.sqrt(3)
    assert found[["value", "low", "high"]].tolist() == pytest.approx(
        [ratios.mean(), ratios.mean() * np.exp(-half / ratios.mean()), ratios.mean() * np.exp(half / ratios.mean())]
    )
    assert found["verdict"] == "holds"
    assert verdict(theory_verdicts(pd.concat(frames[:2])), "freeze-1", REDUCTION)["verdict"] == "in this run: holds"


def test_seeds_that_agree_on_a_correlation_do_not_leave_its_range():
    frames = [table("seq", seed) for seed in range(3)]
    for frame, value in zip(frames, (0.31, 1.0, 1.0), strict=True):
        here = frame["metric"] == "relative_depth_correlation"
        frame.loc[here, ["value", "low", "high"]] = (value, value - 0.1, min(1.0, value + 0.1))
    found = verdict(theory_verdicts(pd.concat(frames)), "seq", RELATIVE_DEPTH)
    assert -1 < found["low"] < found["value"] < found["high"] <= 1


def test_without_seq_there_is_no_third_proposition_and_where_task_1_is_learned_no_other():
    assert set(theory_verdicts(table("freeze-1"))["proposition"]) == {1, 2}
    learned = pd.concat([table("seq"), table("freeze-1", last=4.0)]).assign(after="task1_matched")
    assert set(theory_verdicts(learned)["proposition"]) == {3}


def test_all_layers_frozen_give_no_reduction_and_no_slope():
    found = theory_verdicts(pd.concat([table("seq"), table("freeze-0"), table("freeze-2", last=6.0), table("freeze-4", last=0.0)]))
    assert found.loc[found["statistic"] == REDUCTION.name, "arm"].tolist() == ["freeze-0", "freeze-2"]
    assert verdict(found, "freeze", SLOPE)["value"] == pytest.approx((0.6 - 1) / 2)


def test_layers_are_averaged_and_their_ends_too():
    rows = pd.DataFrame({"value": [0.1, 0.3], "low": [0.05, 0.25], "high": [0.2, 0.4]})
    assert over_layers(rows) == pytest.approx((0.2, 0.15, 0.3))
    biased = pd.DataFrame({"value": [0.1], "low": [0.12], "high": [0.2]})  # resampling lengthens a short mean
    assert over_layers(biased) == pytest.approx((0.1, 0.1, 0.2))


def test_slope_against_scipy_and_its_error_by_simulation():
    x, y, errors = np.array([0.0, 1, 2, 4]), np.array([3.0, 2, 2.5, 0]), np.array([0.1, 0.2, 0.1, 0.3])
    found = slope(x, y, errors)
    assert found.value == pytest.approx(linregress(x, y).slope)
    draws = y + errors * np.random.default_rng(1).standard_normal((4000, 4))
    slopes = [np.polyfit(x, draw, 1)[0] for draw in draws]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(slopes), rel=0.05)
