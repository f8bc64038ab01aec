from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forgetting.sections import ATTRIBUTES
from forgetting.views.spurious import probe_points, recovery_summary, savings, spurious_share, transitions


def facts(right: np.ndarray, **columns: object) -> pd.DataFrame:
    """Facts of `task0_test` from a table of right answers, (persons, 6)."""
    persons = len(right)
    frame = pd.DataFrame(
        {
            "person": np.repeat(np.arange(persons), len(ATTRIBUTES)),
            "attribute": np.tile(ATTRIBUTES, persons),
            "exact_match": np.asarray(right, dtype=bool).ravel(),
        }
    )
    return frame.assign(group="task0_test", **columns)


def with_accuracy(accuracy: float, persons: int = 50) -> np.ndarray:
    """The same share of right answers for every person, as nearly as six answers allow, and exactly over all."""
    right = np.zeros(persons * 6, dtype=bool)
    right[: round(accuracy * len(right))] = True
    return np.random.default_rng(0).permutation(right).reshape(persons, 6)


def test_share_of_known_accuracies() -> None:
    before, dropped, recovered = (facts(with_accuracy(value)) for value in (0.9, 0.1, 0.7))
    share = spurious_share(before, dropped, recovered)
    assert share.value == pytest.approx(0.75)
    assert share.low < 0.75 < share.high


def test_interval_agrees_with_a_loop_over_resampled_persons() -> None:
    generator = np.random.default_rng(5)
    stages = [facts(generator.random((40, 6)) < level) for level in (0.95, 0.2, 0.8)]
    share = spurious_share(*stages)
    means = np.stack([stage.groupby("person")["exact_match"].mean() for stage in stages], axis=1)
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
    assert result.value == pytest.approx(4)
    assert result.low <= 4 <= result.high


def test_savings_are_undefined_or_infinite_at_the_ends() -> None:
    never, slow, at_once = recovery_curve({0: 0.1, 50: 0.6}), recovery_curve({0: 0.0, 50: 1.0}), recovery_curve({0: 0.95, 50: 1.0})
    assert np.isnan(savings(never, slow).value) and np.isnan(savings(never, never).value)
    assert np.isinf(savings(slow, at_once).value)


def test_a_task1_model_that_never_relearns_saves_nothing() -> None:
    """As long as it had the steps that the pretrained one needs, 45; a probe of 40 steps leaves open what the next five would bring."""
    pretrained = recovery_curve({0: 0.0, 50: 1.0})
    assert savings(pretrained, recovery_curve({0: 0.1, 50: 0.6})) == (0, 0, 0)
    assert savings(pretrained, recovery_curve({0: 0.1, 45: 0.6})).value == pytest.approx(0)
    assert np.isnan(savings(pretrained, recovery_curve({0: 0.1, 40: 0.6})).value)


def test_draws_that_never_relearn_lower_the_interval_instead_of_removing_it() -> None:
    """The Task 1 model ends at 0.91 with a standard error of about 0.02: more than 5 % of the samples of persons do not get to 0.9."""
    result = savings(recovery_curve({0: 0.0, 50: 1.0}), recovery_curve({0: 0.1, 100: 0.91}))
    assert result.value == pytest.approx(45 / (100 * 0.8 / 0.81))
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
            parts.append(facts(with_accuracy(accuracy), checkpoint=checkpoint, epochs=epochs, step=int(56 * epochs), start="task1"))
    table = pd.concat(parts).assign(seed=0, arm="seq")
    keys = ["seed", "arm", "start", "checkpoint", "epochs", "step", "group"]
    recovery = table.groupby(keys, as_index=False)["exact_match"].mean().rename(columns={"exact_match": "value"})
    recovery = recovery.assign(metric="exact_match", attribute="all", low=np.nan, high=np.nan)
    metrics = pd.DataFrame({"seed": [0], "arm": ["seq"], "metric": ["early_stop_step"], "value": [300.0]})
    return metrics, recovery, table


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
    assert probe_points(metrics, recovery).set_index("point").loc["trough", "checkpoint"] == 100
    shuffled = recovery[recovery["checkpoint"].isin([150, 300])].assign(start="shuffled")
    assert probe_points(metrics, pd.concat([recovery, shuffled])).set_index("point").loc["trough", "checkpoint"] == 150


def test_unlearned_task_is_matched_at_its_end_and_says_so() -> None:
    metrics, recovery, _ = probe_tables()
    points = probe_points(metrics.assign(value=np.nan), recovery).set_index("point")
    assert points.loc["matched", "checkpoint"] == 300
    assert not points["learned"].any()


def test_missing_probe_is_named() -> None:
    metrics, recovery, table = probe_tables()
    points = probe_points(metrics.assign(value=200.0), recovery)
    with pytest.raises(ValueError, match="checkpoint 200"):
        recovery_summary(table, points)
