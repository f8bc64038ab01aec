from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forgetting.analysis.spurious import (
    early_area,
    floor_probe,
    probe_points,
    probes_by_checkpoint,
    recovery_summary,
    savings,
    spurious_share,
    transitions,
)
from forgetting.analysis.standing import against_controls, content_and_form
from forgetting.analysis.words import standing
from forgetting.config.biography import ATTRIBUTES
from forgetting.intervals import Interval


def facts(right: np.ndarray, **columns: object) -> pd.DataFrame:
    """Facts of `task0_test` from a table of right answers, (persons, 6)."""
    units = len(right)
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), len(ATTRIBUTES)),
            "kind": np.tile(ATTRIBUTES, units),
            "exact_match": np.asarray(right, dtype=bool).ravel(),
        }
    )
    return frame.assign(split="task0_test", **columns)


def with_accuracy(accuracy: float, units: int = 50) -> np.ndarray:
    """The same share of right answers for every person, as nearly as six answers allow, and exactly over all."""
    right = np.zeros(units * 6, dtype=bool)
    right[: round(accuracy * len(right))] = True
    return np.random.default_rng(0).permutation(right).reshape(units, 6)


def test_share_of_known_accuracies() -> None:
    before, dropped, recovered = (facts(with_accuracy(value)) for value in (0.9, 0.1, 0.7))
    share = spurious_share(before, dropped, recovered)
    assert share.value == pytest.approx(0.75)
    assert share.low < 0.75 < share.high


def test_interval_agrees_with_a_loop_over_resampled_persons() -> None:
    generator = np.random.default_rng(5)
    stages = [facts(generator.random((40, 6)) < level) for level in (0.95, 0.2, 0.8)]
    share = spurious_share(*stages)
    means = np.stack([stage.groupby("unit")["exact_match"].mean() for stage in stages], axis=1)
    draws = []
    for _ in range(4000):
        before, dropped, recovered = means[generator.integers(0, 40, 40)].mean(axis=0)
        draws.append((recovered - dropped) / (before - dropped))
    np.testing.assert_allclose((share.low, share.high), np.quantile(draws, [0.025, 0.975]), atol=0.01)


def test_a_share_of_one_has_width() -> None:
    """All of 60 persons right again: 60 of 60 may be 0.94 (Wilson), so (0.94 - 0.1) / 0.9 of the loss, and no more than all of it."""
    full = facts(np.ones((60, 6), dtype=bool))
    dropped = np.zeros((60, 6), dtype=bool)
    dropped[:6] = True
    share = spurious_share(full, facts(dropped), full)
    low = stats.binomtest(60, 60).proportion_ci(method="wilson").low
    np.testing.assert_allclose(share, (1, (low - 0.1) / 0.9, 1))
    assert 0.92 < share.low < 0.94
    half_known = facts(np.tile([True, True, True, False, False, False], (60, 1)))
    again = spurious_share(half_known, facts(np.zeros((60, 6), dtype=bool)), half_known)
    assert again.low < 1 < again.high, "before and after alike in every person: still measured on 60"


def test_share_is_undefined_when_nothing_dropped() -> None:
    same = facts(with_accuracy(0.9))
    assert np.isnan(spurious_share(same, same, same)).all()
    assert np.isnan(spurious_share(facts(with_accuracy(0.9)), facts(with_accuracy(0.89)), same).value)


def recovery_curve(accuracies: dict[int, float]) -> pd.DataFrame:
    return pd.concat([facts(with_accuracy(value), step=step) for step, value in accuracies.items()])


def test_savings_are_a_ratio_of_interpolated_crossings() -> None:
    pretrained = recovery_curve({0: 0.0, 40: 0.8, 80: 1.0})  # reaches 0.9 at step 60
    task1 = recovery_curve({0: 0.2, 10: 0.8, 20: 1.0})  # at step 15
    result = savings(pretrained, task1)
    assert result.ratio.value == pytest.approx(4)
    assert result.ratio.low <= 4 <= result.ratio.high
    assert (result.at_least, result.at_most) == (40 / 20, 80 / 10)


def test_savings_within_the_first_interval_are_not_resolved() -> None:
    """The same two models, seen at every step and on a grid of 15 steps, on which both cross in the first interval: interpolated from
    step 0, 14.9 steps against 7.4 would look like 1.15. Numbers of a dense curve by hand."""
    fast, slow = (
        {0: 0.26, **{step: min(1.0, 0.26 + 0.0865 * step) for step in range(1, 31)}},
        {step: min(1.0, 0.06 * step) for step in range(31)},
    )
    dense = savings(recovery_curve(slow), recovery_curve(fast))
    assert dense.ratio.value == pytest.approx(15 / 7.4, abs=0.05) and 1 < dense.at_least < 2 < dense.at_most
    grid = [0, 15, 29]
    coarse = savings(recovery_curve({step: slow[step] for step in grid}), recovery_curve({step: fast[step] for step in grid}))
    assert np.isnan(coarse.ratio).all() and coarse.at_least < 1 and coarse.at_most == np.inf


def test_savings_are_undefined_or_infinite_at_the_ends() -> None:
    never, slow, at_once = recovery_curve({0: 0.1, 50: 0.6}), recovery_curve({0: 0.0, 50: 1.0}), recovery_curve({0: 0.95, 50: 1.0})
    assert np.isnan(savings(never, slow).ratio.value) and np.isnan(savings(never, never).ratio.value)
    assert np.isinf(savings(slow, at_once).ratio.value) and savings(slow, at_once).at_least == np.inf


def test_a_task1_model_that_never_relearns_saves_nothing() -> None:
    """As long as it had the steps that the pretrained one needs, 45; a probe of 40 steps leaves open what the next five would bring."""
    pretrained = recovery_curve({0: 0.0, 44: 0.88, 46: 0.92, 50: 1.0})
    assert savings(pretrained, recovery_curve({0: 0.1, 50: 0.6})) == ((0, 0, 0), 0, 46 / 50)
    assert savings(pretrained, recovery_curve({0: 0.1, 48: 0.6})).ratio.value == pytest.approx(0)
    assert np.isnan(savings(pretrained, recovery_curve({0: 0.1, 40: 0.6})).ratio.value)


def test_draws_that_never_relearn_lower_the_interval_instead_of_removing_it() -> None:
    """The Task 1 model ends at 0.91 with a standard error of about 0.02: more than 5 % of the samples of persons do not get to 0.9."""
    result = savings(recovery_curve({0: 0.0, 50: 1.0}), recovery_curve({0: 0.1, 60: 0.7, 100: 0.91})).ratio
    assert result.value == pytest.approx(45 / (60 + 40 * 0.2 / 0.21))
    assert result.low == 0 and result.value < result.high < 1


def test_transitions_by_hand() -> None:
    """One person: the first five facts were known; 2 kept, 2 lost and recovered, 1 lost for good. What was never known does not count."""
    before, dropped, recovered = ([1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 1], [1, 0, 1, 1, 0, 1])
    result = transitions(*(facts(np.array([stage])) for stage in (before, dropped, recovered)))
    assert result == pytest.approx((0.4, 0.4, 0.2))
    assert sum(result) == pytest.approx(1)


def probe_tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """One arm with checkpoints 0, 50, 150, 300 whose trough is 150 and whose Task 1 is learned at 300."""
    dropped = {0: 0.9, 50: 0.5, 150: 0.1, 300: 0.2}
    parts = []
    for checkpoint, value in dropped.items():
        for epochs, accuracy in ((0.0, value), (1.0, 0.8)):
            parts.append(
                facts(with_accuracy(accuracy), checkpoint=checkpoint, epochs=epochs, step=int(56 * epochs), start="task1", training="right")
            )
    table = pd.concat(parts).assign(seed=0, arm="seq")
    keys = ["seed", "arm", "start", "training", "checkpoint", "epochs", "step", "split"]
    recovery = table.groupby(keys, as_index=False)["exact_match"].mean().rename(columns={"exact_match": "value"})
    recovery = recovery.assign(metric="exact_match", kind="all", low=np.nan, high=np.nan)
    on_val = [(step, "task0_val", "exact_match", value) for step, value in dropped.items()]
    rows = [*on_val, (300, "task1", "early_stop_step", 300.0)]
    metrics = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    metrics = metrics.assign(seed=0, arm="seq", kind="all", low=np.nan, high=np.nan)
    return metrics, recovery, table


def stopped(metrics: pd.DataFrame, step: float) -> pd.DataFrame:
    """The same run, in which Task 1 was learned at another step."""
    return metrics.assign(value=metrics["value"].where(metrics["metric"] != "early_stop_step", step))


def test_probe_points_and_their_summary() -> None:
    metrics, recovery, table = probe_tables()
    points = probe_points(metrics, recovery).set_index("point")
    assert points["checkpoint"].to_dict() == {"trough": 150, "matched": 300, "end": 300}
    assert points["learned"].all()
    summary = recovery_summary(table, points.reset_index()).set_index("point")
    assert summary.loc["trough", "spurious_share"] == pytest.approx(0.7 / 0.8)
    assert summary.loc["end", "spurious_share"] == pytest.approx(0.6 / 0.7)
    assert np.isnan(summary.loc["trough", "savings"])  # no pretrained control among the facts


def test_trough_is_the_checkpoint_that_the_recovery_job_marked() -> None:
    """The early stop at step 100 is lower than any kept checkpoint, but was not the trough that was recovered at length."""
    metrics, recovery, _ = probe_tables()
    at_stop = recovery[recovery["checkpoint"] == 150].assign(checkpoint=100, value=0.05)
    recovery = pd.concat([recovery, at_stop])
    metrics = pd.concat([metrics, metrics[metrics["step"] == 150].assign(step=100, value=0.05)])
    assert probe_points(metrics, recovery).set_index("point").loc["trough", "checkpoint"] == 100
    shuffled = recovery[recovery["checkpoint"].isin([150, 300])].assign(training="shuffled")
    assert probe_points(metrics, pd.concat([recovery, shuffled])).set_index("point").loc["trough", "checkpoint"] == 150


def test_unlearned_task_is_matched_at_its_end_and_says_so() -> None:
    metrics, recovery, _ = probe_tables()
    points = probe_points(stopped(metrics, np.nan), recovery).set_index("point")
    assert points.loc["matched", "checkpoint"] == 300
    assert not points["learned"].any()


def test_missing_probe_is_named() -> None:
    metrics, recovery, table = probe_tables()
    points = probe_points(stopped(metrics, 200.0), recovery)
    with pytest.raises(ValueError, match="checkpoint 200"):
        recovery_summary(table, points)


PACE = {0: 0.0, 1: 0.02, 4: 0.2, 15: 0.94, 20: 1.0, 57: 1.0}
"""A pretrained model that learns the format in 15 to 20 steps."""


def probe(arm: str, checkpoint: int, pace: dict[int, float], start: str = "task1", **more: object) -> pd.DataFrame:
    """One recovery; step 57 is one epoch."""
    run = {"seed": 0, "arm": arm, "start": start, "checkpoint": checkpoint, "training": "right", "units": 150} | more
    return pd.concat([facts(with_accuracy(value), step=step, epochs=step / 57, **run) for step, value in pace.items()])


def world(arm: dict[int, float], floor: dict[int, float] = PACE, pretrained: dict[int, float] = PACE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """RECOVERY_FACTS of `seq` recovered from step 150, of the same arm without Task 0, and of the pretrained model; their points."""
    parts = [probe("seq", 0, {0: 1.0}), probe("seq", 150, arm), probe("seq-no-task0", 0, {0: 0.0})]
    parts += [probe("seq-no-task0", 100, {step: 0.5 for step in PACE}), probe("seq-no-task0", 150, floor)]
    parts.append(probe("controls", 0, pretrained, "pretrained"))
    points = pd.DataFrame([(0, name, "trough", 150, True) for name in ("seq", "seq-no-task0")])
    return pd.concat(parts), points.set_axis(["seed", "arm", "point", "checkpoint", "learned"], axis=1)


def standings(*worlds: dict[int, float]) -> dict[str, str]:
    row = against_controls(*world(*worlds)).set_index("arm").loc["seq"]
    row = row.to_dict() | {"recovered": 1.0, "recovered_low": 0.99, "recovered_high": 1.0}
    row |= {"pretrained": 1.0, "pretrained_low": 0.99, "pretrained_high": 1.0}
    names = [name for name in row if f"{name}_low" in row]
    numbers = {name: Interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in names}
    numbers |= {name: Interval(0.0, 0.0, 0.05) for name in ("random", "control_persons")}
    return {control: standing(numbers, control) for control in ("pretrained", "floor")}


def test_a_model_that_relearns_in_one_step_is_ahead_although_all_end_at_the_ceiling() -> None:
    at_once = {0: 0.1} | {step: 1.0 for step in PACE if step}
    assert standings(at_once) == {"pretrained": "ahead", "floor": "ahead"}


def test_a_model_that_kept_nothing_is_not_ahead() -> None:
    assert standings(PACE) == {"pretrained": "not ahead", "floor": "not ahead"}


def test_against_a_control_that_is_always_at_the_ceiling_nothing_can_be_told() -> None:
    full = {step: 1.0 for step in PACE}
    assert standings(full, full, full) == {"pretrained": "cannot tell", "floor": "cannot tell"}


def test_the_area_is_the_mean_of_a_densely_drawn_curve() -> None:
    """From step 1 to 20, by a Riemann sum on a thousand points a step."""
    at = np.linspace(1, 20, 19_001)
    dense = np.interp(at, list(PACE), list(PACE.values())).mean()
    assert early_area(probe("seq", 150, PACE), 20).mean() == pytest.approx(dense, abs=1e-3)
    assert np.isnan(early_area(probe("seq", 150, {0: 0.0, 57: 1.0}), 20)).all()


def test_what_was_kept_is_held_against_the_model_that_never_had_task_0() -> None:
    """0.5 of the answers before recovery where the floor has 0.3; of a drop of 0.5 the floor's epoch would bring back 0.4."""
    arm, floor = PACE | {0: 0.5, 57: 0.9}, PACE | {0: 0.3, 57: 0.7}
    facts_of_all, points = world(arm, floor)
    row = against_controls(facts_of_all, points).set_index("arm").loc["seq"]
    assert row[["drop", "kept_beyond_floor", "beyond_floor", "floor"]].tolist() == pytest.approx([0.5, 0.2, 0.2, 0.7])
    assert row[["recovered_long", "floor_long"]].tolist() == pytest.approx([0.9, 0.7]), "one epoch is the longest here"
    summary = recovery_summary(facts_of_all, points).set_index("arm")
    assert summary.loc["seq", ["spurious_share", "floor_share"]].tolist() == pytest.approx([0.8, 0.4])
    assert np.isnan(summary.loc["seq-no-task0", "floor_share"]) and np.isnan(summary.loc["seq-no-task0", "spurious_share"])


@pytest.mark.parametrize(("step", "expected"), [(150, 150), (149, 100), (4000, 150), (50, 100)])
def test_the_floor_starts_from_its_last_checkpoint_up_to_the_same_step(step: int, expected: int) -> None:
    facts_of_all, points = world(PACE)
    found = floor_probe(
        probes_by_checkpoint(facts_of_all), points, {"seed": 0, "arm": "replay-20", "point": "end", "checkpoint": step, "learned": True}
    )
    assert found is not None and set(found["arm"]) == {"seq-no-task0"} and set(found["checkpoint"]) == {expected}


def test_controls_of_form_and_content_by_hand() -> None:
    """The probability of what nobody was told is the mean of exp(-nll) over persons: 0.5 and 0.25 here."""
    control = facts(np.zeros((2, 6), dtype=bool)).assign(split="control", answer_nll=np.repeat(-np.log([0.5, 0.25]), 6))
    parts = []
    for training, units, accuracy in (("right", 150, 0.9), ("unseen", 64, 0.4)):
        run = {"seed": 0, "arm": "seq", "start": "task1", "checkpoint": 150, "training": training, "units": units}
        for epochs in (0.0, 1.0):
            both = pd.concat([facts(with_accuracy(accuracy * epochs), answer_nll=2.0), control])
            parts.append(both.assign(epochs=epochs, step=int(57 * epochs), **run))
    points = pd.DataFrame({"seed": [0], "arm": ["seq"], "point": ["trough"], "checkpoint": [150], "learned": [True]})
    found = content_and_form(pd.concat(parts), points).set_index("training")
    assert found["task0"].to_dict() == pytest.approx({"none": 0.0, "right": 0.9, "unseen": 0.4})
    assert found["control_probability"].tolist() == pytest.approx([0.375] * 3) and found["task0_nll"].tolist() == [2.0] * 3


def test_other_training_is_held_against_the_floor_on_the_same_unit_by_unit() -> None:
    """Of six answers of each of ten persons the floor has one from the first step on, seq four; of unseen persons both have two."""
    parts = []
    right = {("seq", "fresh"): 4, ("seq", "unseen"): 2, ("seq-no-task0", "fresh"): 1, ("seq-no-task0", "unseen"): 2}
    for (arm, training), answers in right.items():
        known = np.tile(np.arange(6) < answers, (10, 1))
        for step in (0, 1, 20, 57):
            asked = pd.concat([facts(known & (step > 0), answer_nll=2.0), facts(known, answer_nll=1.0).assign(split="control")])
            run = {"seed": 0, "arm": arm, "start": "task1", "checkpoint": 150, "epochs": step / 57, "step": step}
            parts.append(asked.assign(training=training, units=64, **run))
            if training == "fresh":
                parts.append(asked.assign(training="right", units=150, **run))
    points = pd.DataFrame({"seed": 0, "arm": ["seq", "seq-no-task0"], "point": "trough", "checkpoint": 150, "learned": True})
    found = content_and_form(pd.concat(parts), points).set_index(["arm", "training"])
    beyond = found["area_beyond_floor"]
    assert beyond["seq", "fresh"] == beyond["seq", "right"] == pytest.approx(0.5)
    assert found["area_beyond_floor_low"]["seq", "fresh"] > 0
    assert beyond["seq", "unseen"] == pytest.approx(0)
    assert beyond.loc["seq-no-task0"].isna().all() and np.isnan(beyond["seq", "none"])


@pytest.mark.parametrize(("probed", "expected"), [((100, 150), 0.5), ((150,), 0.0)])
def test_other_training_is_held_against_the_floor_at_the_same_step_where_it_was_probed(probed: tuple[int, ...], expected: float) -> None:
    """Lowest at step 100, `seq` answers four of six from the first step on; the floor one from step 100, and four from its own, 150."""
    parts = []
    for arm, checkpoint, answers in (("seq", 100, 4), ("seq-no-task0", 100, 1), ("seq-no-task0", 150, 4)):
        for training in ("right", "unseen", "fresh") if checkpoint == 150 or arm == "seq" else ("fresh",):
            for step in (0, 1, 20, 57) if arm == "seq" or checkpoint in probed else ():
                known = np.tile(np.arange(6) < answers * (step > 0), (10, 1))
                asked = pd.concat([facts(known, answer_nll=2.0), facts(known, answer_nll=1.0).assign(split="control")])
                run = {"seed": 0, "arm": arm, "start": "task1", "checkpoint": checkpoint, "epochs": step / 57, "step": step}
                parts.append(asked.assign(training=training, units=64, **run))
    points = pd.DataFrame({"seed": 0, "arm": ["seq", "seq-no-task0"], "point": "trough", "checkpoint": [100, 150], "learned": True})
    found = content_and_form(pd.concat(parts), points).set_index(["arm", "training"])["area_beyond_floor"]
    assert found["seq", "fresh"] == pytest.approx(expected)
    assert found["seq", "unseen"] == pytest.approx(0), "from the floor's own point, as it was not probed elsewhere"
