from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forgetting.analysis.curves import (
    area_above,
    at_step,
    collapse_by_rate,
    continual_summary,
    crossings,
    first_reaching,
    later_peak,
    method_summary,
    rebound,
    trough,
)
from forgetting.data.points import curve, trough_step


def hand_made(values: dict[int, float]) -> pd.DataFrame:
    rows = pd.DataFrame({"step": list(values), "value": list(values.values())})
    return rows.assign(low=rows["value"] - 0.05, high=rows["value"] + 0.05)


def metrics_of(task0: dict[int, float], task1: dict[int, float], stop: float, arm: str = "seq", seed: int = 0) -> pd.DataFrame:
    parts = [hand_made(task0).assign(split="task0_test"), hand_made(task1).assign(split="task1")]
    frame = pd.concat(parts).assign(metric="exact_match")
    extra = pd.DataFrame(
        [
            {"step": max(task0), "split": "task1", "metric": "early_stop_step", "value": stop},
            {"step": 0, "split": "train", "metric": "learning_rate", "value": 1e-4},
            {"step": max(task0), "split": "train", "metric": "seconds", "value": 60.0},
        ]
    )
    return pd.concat([frame, extra], ignore_index=True).assign(kind="all", arm=arm, seed=seed)


TASK0 = {0: 1.0, 50: 0.4, 100: 0.2, 150: 0.3, 200: 0.1, 400: 0.6, 800: 0.5}
TASK1 = {0: 0.0, 50: 0.0, 100: 0.1, 150: 0.2, 200: 0.4, 400: 0.8, 800: 1.0}


def test_trough_is_the_lowest_of_the_first_150_steps() -> None:
    lowest = trough(hand_made(TASK0))
    assert (lowest.step, lowest.value) == (100, 0.2)
    assert trough(hand_made(TASK0), within=200).step == 200
    with pytest.raises(ValueError, match="no evaluation"):
        trough(hand_made({0: 1.0, 500: 0.1}))


def test_the_later_peak_leaves_out_what_is_learned_in_the_early_steps() -> None:
    rows = pd.DataFrame({"step": [0, 20, 150, 800, 3000], "value": [1.0, 0.3, 0.1, 0.2, 0.05], "low": 0.0, "high": 1.0})
    assert later_peak(rows)[:2] == (800, 0.2)
    assert later_peak(rows[rows["step"] < 150])[:2] == (20, 0.3), "of a run that is shorter, its end"


def test_rebound_is_measured_from_the_trough() -> None:
    rows = hand_made(TASK0)
    assert rebound(rows, trough(rows)) == pytest.approx(0.4)
    falling = hand_made({0: 1.0, 50: 0.5, 100: 0.2})
    assert rebound(falling, trough(falling)) == 0


def test_area_is_the_mean_loss_over_the_window() -> None:
    assert area_above(hand_made({0: 0.9, 150: 0.9, 300: 0.0})) == pytest.approx(0)
    assert area_above(hand_made({0: 1.0, 150: 0.0})) == pytest.approx(0.5)
    # The window ends between two evaluations: the straight line from 1 to 0 over 300 steps has lost 1/4 on average by step 150.
    assert area_above(hand_made({0: 1.0, 300: 0.0})) == pytest.approx(0.25)
    assert area_above(hand_made({0: 1.0, 100: 0.0})) == pytest.approx(0.5)


def test_crossing_is_interpolated_between_evaluations() -> None:
    rows = hand_made(TASK1)
    assert first_reaching(rows, 0.9) == pytest.approx(600)
    assert first_reaching(rows, 0.8) == pytest.approx(400)
    assert np.isnan(first_reaching(rows, 1.01))
    assert first_reaching(rows, 0.0) == 0
    several = crossings([0, 10, 20], [[0, 0.5, 1], [1, 0, 1], [0, 0.2, 0.4]], 0.75)
    np.testing.assert_allclose(several, [15, 0, np.nan])


def test_values_between_evaluations_are_linear_and_missing_outside() -> None:
    rows = hand_made(TASK0)
    assert at_step(rows, 25).value == pytest.approx(0.7)
    assert at_step(rows, 25).low == pytest.approx(0.65)
    assert np.isnan(at_step(rows, np.nan).value)
    assert np.isnan(at_step(rows, 900).value)


def test_forgetting_with_two_tasks_is_before_minus_after() -> None:
    summary = continual_summary([[0.9, 0.0], [0.3, 1.0]])
    assert summary.final == pytest.approx(0.65)
    assert summary.forgetting == pytest.approx(0.6)
    assert summary.backward_transfer == pytest.approx(-0.6)


def test_continual_summary_of_three_tasks() -> None:
    """Task 0 is best after stage 1, not after its own stage; the last stage never counts as the best."""
    summary = continual_summary([[0.8, 0.1, 0.0], [0.9, 0.7, 0.0], [0.5, 0.6, 1.0]])
    assert summary.final == pytest.approx(0.7)
    assert summary.forgetting == pytest.approx(((0.9 - 0.5) + (0.7 - 0.6)) / 2)
    assert summary.backward_transfer == pytest.approx(((0.5 - 0.8) + (0.6 - 0.7)) / 2)
    with pytest.raises(ValueError, match="square"):
        continual_summary([[0.1, 0.2]])


def test_method_summary_with_and_without_early_stop() -> None:
    rows = method_summary(metrics_of(TASK0, TASK1, stop=400), matched_accuracy=0.9).set_index("early_stop")
    full, stopped = rows.loc[False], rows.loc[True]
    assert full["matched_step"] == pytest.approx(600) and full["matched"] == pytest.approx(0.55)
    assert full["final"] == 0.5 and full["task1_final"] == 1.0 and full["steps"] == 800 and full["seconds"] == 60
    assert full["forgetting"] == pytest.approx(0.5) and full["backward_transfer"] == pytest.approx(-0.5)
    assert stopped["final"] == 0.6 and stopped["task1_final"] == 0.8 and stopped["steps"] == 400
    assert np.isnan(stopped["matched"]) and np.isnan(stopped["seconds"])
    assert full["learned"] and stopped["learned"]


def test_of_a_run_that_never_had_task0_step_150_stands_for_the_trough() -> None:
    """It starts from nothing, so that its lowest early accuracy is that of a model which has not yet learned what Task 1 teaches."""
    runs = [metrics_of({0: 0.0, 20: 0.0, 150: 0.1, 800: 0.05}, TASK1, stop=400, arm=arm) for arm in ("seq", "seq-no-task0")]
    rows = method_summary(pd.concat(runs), matched_accuracy=0.9).query("not early_stop").set_index("arm")
    assert rows["trough"].to_dict() == {"seq": 0.0, "seq-no-task0": 0.1} and rows.loc["seq-no-task0", "trough_step"] == 150


def test_task1_never_learned_leaves_no_early_stop() -> None:
    rows = method_summary(metrics_of(TASK0, TASK1, stop=np.nan), matched_accuracy=0.99).set_index("early_stop")
    assert rows.loc[True, ["final", "before", "steps"]].isna().all()
    assert not rows.loc[False, "learned"]
    assert rows.loc[False, "final"] == 0.5


def test_collapse_by_rate_reads_rate_trough_and_peak() -> None:
    rows = collapse_by_rate(metrics_of(TASK0, TASK1, stop=400)).set_index("name")
    assert rows["rate"].unique().tolist() == [1e-4]
    assert rows["value"].to_dict() == pytest.approx({"before": 1.0, "trough": 0.2, "peak": 0.6})
    assert rows.loc["peak", "step"] == 400


def test_the_peak_is_found_where_a_sum_of_floats_would_pass_it() -> None:
    low, high = 4 / 360, 11 / 360
    assert low + (high - low) > high
    rows = collapse_by_rate(metrics_of({0: 1.0, 100: low, 200: high, 800: 0.0}, TASK1, stop=400)).set_index("name")
    assert (rows.loc["peak", "step"], rows.loc["peak", "value"]) == (200, high)


def test_missing_group_is_named() -> None:
    with pytest.raises(ValueError, match="control"):
        curve(metrics_of(TASK0, TASK1, stop=400), "control")


def test_the_trough_is_chosen_on_persons_that_are_not_reported() -> None:
    """Validation persons are lowest at step 100, test persons at 150; a run that never had Task 0 has no trough, and takes step 150."""
    levels = {"task0_test": {50: 0.4, 100: 0.2, 150: 0.1, 200: 0.0}, "task0_val": {50: 0.4, 100: 0.1, 150: 0.2, 200: 0.0}}
    rows = [(split, step, value) for split, values in levels.items() for step, value in values.items()]
    metrics = pd.DataFrame(rows, columns=["split", "step", "value"]).assign(metric="exact_match", kind="all", low=0.0, high=1.0)
    assert trough_step(metrics.assign(arm="seq"), [50, 100, 150, 200]) == 100
    assert trough_step(metrics.assign(arm="seq-no-task0"), [50, 100, 150, 200]) == 150
