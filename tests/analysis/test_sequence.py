"""Numbers of a sequence of tasks, on matrices whose answers were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forgetting.analysis import sequence
from forgetting.analysis.curves import continual_summary
from forgetting.schemas.facts import FACTS
from forgetting.tables import write_table

THREE = np.array([[0.9, 0.1, 0.0], [0.5, 0.8, 0.2], [0.7, 0.4, 1.0]])
"""R[i, j] after stage i = 0, 1, 2. Task 0 is lost and partly comes back, task 1 is half forgotten."""


def test_three_tasks() -> None:
    assert sequence.average_accuracy(THREE) == pytest.approx((0.7 + 0.4 + 1.0) / 3)
    assert sequence.backward_transfer(THREE) == pytest.approx(((0.7 - 0.9) + (0.4 - 0.8)) / 2)
    assert sequence.forward_transfer(THREE) == pytest.approx(((0.1 - 0.1) + (0.2 - 0.0)) / 2)
    np.testing.assert_allclose(sequence.forgetting(THREE), [0.9 - 0.7, 0.8 - 0.4])
    assert sequence.mean_forgetting(THREE) == pytest.approx(0.3)
    assert sequence.intransigence(THREE, np.array([0.95, 0.9])) == pytest.approx(((0.95 - 0.8) + (0.9 - 1.0)) / 2)


def test_forgetting_is_from_the_best_stage_and_backward_transfer_from_the_tasks_own() -> None:
    table = np.array([[0.5, 0.0, 0.0], [0.8, 0.6, 0.0], [0.7, 0.6, 1.0]])
    np.testing.assert_allclose(sequence.forgetting(table), [0.1, 0.0])
    assert sequence.backward_transfer(table) == pytest.approx((0.2 + 0.0) / 2)


def test_two_tasks() -> None:
    """Then backward transfer is minus the forgetting, and nothing can be transferred forward."""
    table = np.array([[0.9, 0.05], [0.3, 1.0]])
    assert sequence.average_accuracy(table) == pytest.approx(0.65)
    np.testing.assert_allclose(sequence.forgetting(table), [0.6])
    assert sequence.backward_transfer(table) == pytest.approx(-0.6)
    assert sequence.forward_transfer(table) == 0
    assert sequence.intransigence(table, np.array([0.9])) == pytest.approx(-0.1)
    of_task1 = continual_summary(table)
    assert (of_task1.final, of_task1.forgetting, of_task1.backward_transfer) == pytest.approx((0.65, 0.6, -0.6)), "the summary of `all`"


def test_one_task_has_an_accuracy_and_nothing_else() -> None:
    table = np.array([[0.9]])
    assert sequence.average_accuracy(table) == pytest.approx(0.9)
    assert sequence.forgetting(table).shape == (0,)
    functions = (sequence.backward_transfer, sequence.forward_transfer, sequence.mean_forgetting)
    assert all(np.isnan(function(table)) for function in functions)
    assert np.isnan(sequence.intransigence(table, np.empty(0)))


def test_bootstrap_samples_go_through_like_the_matrix_itself() -> None:
    tables = np.stack([THREE, THREE / 2])
    for function in (sequence.average_accuracy, sequence.backward_transfer, sequence.forward_transfer, sequence.mean_forgetting):
        np.testing.assert_allclose(function(tables), [function(THREE), function(THREE) / 2])


SPLITS = ("task0_test", "task1", "task2")
UNITS = {"task0_test": (10, 11), "task1": (20, 21), "task2": (30, 31)}


def facts(stage: str, arm: str, right: dict[int, dict[str, tuple[bool, ...]]]) -> pd.DataFrame:
    """FACTS of a run: by step and split, whether the one question about each unit is answered right."""
    rows = [
        {"step": step, "split": split, "unit": unit, "exact_match": hit}
        for step, splits in right.items()
        for split, hits in splits.items()
        for unit, hit in zip(UNITS[split], hits, strict=True)
    ]
    same = {"scale": "tiny", "seed": 0, "stage": stage, "arm": arm, "kind": "major", "first_token_soft": 0.5, "answer_nll": 1.0}
    return pd.DataFrame(rows).assign(**same, first_token_hard=lambda frame: frame["exact_match"])


YES, NO, HALF = (True, True), (False, False), (True, False)
RUNS = {
    ("task1", "seq"): {
        0: dict(zip(SPLITS, (YES, NO, NO), strict=True)),
        50: {"task0_test": NO, "task1": HALF},
        100: dict(zip(SPLITS, (HALF, YES, NO), strict=True)),
    },
    ("task2", "seq"): {
        0: dict(zip(SPLITS, (HALF, YES, NO), strict=True)),
        100: dict(zip(SPLITS, (NO, HALF, YES), strict=True)),
    },
    ("task2", "alone"): {0: {"task0_test": YES, "task2": NO}, 100: {"task0_test": HALF, "task2": HALF}},
}
EXPECTED = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.5, 1.0]])


@pytest.fixture
def answers(tmp_path: Path) -> pd.DataFrame:
    paths = []
    for (task, arm), right in RUNS.items():
        paths.append(tmp_path / task / arm / "facts.parquet")
        write_table(facts(task, arm, right), paths[-1], FACTS)
    return sequence.read_answers(paths, ["task1", "task2"])


def test_the_matrix_is_of_the_ends_of_the_runs(answers: pd.DataFrame) -> None:
    rows = sequence.matrix_rows(answers)
    table = rows[rows["arm"] == "seq"].pivot(index="stage", columns="task", values="value").to_numpy()
    np.testing.assert_array_equal(table, EXPECTED)
    alone = rows[rows["arm"] == sequence.ALONE]
    assert alone[["stage", "task", "value"]].to_numpy().tolist() == [[2, 2, 0.5]]
    assert ((rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])).all()
    assert sequence.task_names(answers) == list(SPLITS)


def test_the_summary_of_runs(answers: pd.DataFrame) -> None:
    (row,) = sequence.sequence_summary(answers).to_dict("records")
    assert row["average_accuracy"] == pytest.approx(0.5)
    assert row["backward_transfer"] == pytest.approx(((0.0 - 1.0) + (0.5 - 1.0)) / 2)
    assert row["forgetting"] == pytest.approx((1.0 + 0.5) / 2)
    assert row["intransigence"] == pytest.approx(((1.0 - 1.0) + (0.5 - 1.0)) / 2)
    for name in ("average_accuracy", "backward_transfer", "forgetting", "intransigence"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    # Of two units, one with both answers and one with none of task 1: bootstrap samples are 0, 0.5 and 1 there.
    assert (row["forgetting_low"], row["forgetting_high"]) == (0.5, 1.0)


def test_where_all_units_are_alike_there_is_no_interval(answers: pd.DataFrame) -> None:
    """Resampling equal units would give one of no width, as if the number were sure."""
    (row,) = sequence.sequence_summary(answers.assign(right=answers["asked"])).to_dict("records")
    assert row["intransigence"] == 0 and np.isnan([row["intransigence_low"], row["intransigence_high"]]).all()


def test_a_unit_that_was_not_asked_alone_counts_in_the_matrix_but_not_in_intransigence(answers: pd.DataFrame) -> None:
    few = answers[(answers["arm"] != sequence.ALONE) | (answers["unit"] == 31)]
    (row,) = sequence.sequence_summary(few).to_dict("records")
    assert row["intransigence"] == pytest.approx(((1.0 - 1.0) + (0.0 - 1.0)) / 2)
    assert row["average_accuracy"] == pytest.approx(0.5)


def test_steps_to_learn_are_those_of_the_early_stop() -> None:
    rows = [("task1", "seq", 40.0), ("task2", "seq", np.nan), ("task2", "alone", 60.0)]
    metrics = pd.DataFrame(rows, columns=["stage", "arm", "value"]).assign(seed=0, metric="early_stop_step")
    found = sequence.steps_to_learn(metrics, list(SPLITS)).set_index(["arm", "task"])["value"]
    assert found["seq", 1] == 40 and np.isnan(found["seq", 2]) and found["alone", 2] == 60


def test_the_table_of_steps_has_a_row_an_arm_and_one_of_each_task_alone(answers: pd.DataFrame) -> None:
    rows = [
        ("task1", "seq", 40.0),
        ("task2", "seq", np.nan),
        ("task2", "alone", 60.0),
        ("task1", "replay-20", 50.0),
        ("task2", "replay-20", 80.0),
    ]
    metrics = pd.DataFrame(rows, columns=["stage", "arm", "value"]).assign(seed=0, metric="early_stop_step")
    alone = metrics["arm"] == "alone"
    found = sequence.steps_table(answers, metrics[~alone], metrics[alone]).set_index("arm")
    assert found.index.tolist() == ["seq", "replay-20", "alone"]
    assert found["task 1"].tolist() == [40, 50, 40] and found.loc[["replay-20", "alone"], "task 2"].tolist() == [80, 60]
    assert np.isnan(found.loc["seq", "task 2"]) and found.loc["seq", "task 2_seeds"] == 0


def test_recovered_tasks_by_stage() -> None:
    rows = [
        ("task2", "task0_test", 0.0, 0.1),
        ("task2", "task0_test", 1.0, 0.9),
        ("task2", "task1", 0.0, 0.2),
        ("task2", "task1", 1.0, 0.6),
    ]
    rows += [("task3", "task1", 1.0, 0.5), ("task3", "task2", 1.0, 0.7), ("task3", "task1", 0.5, 0.4)]
    frame = pd.DataFrame(rows, columns=["start", "split", "epochs", "value"])
    frame["training"] = "right"
    control = pd.DataFrame({"start": "task2", "split": "task0_test", "epochs": [0.0, 1.0], "value": [0.1, 0.3], "training": "shuffled"})
    frame = pd.concat([frame, control], ignore_index=True)
    frame = frame.assign(seed=0, arm="seq", metric="exact_match", kind="all", low=frame["value"] - 0.03, high=frame["value"] + 0.04)
    found = sequence.recovery_rows(frame, [*SPLITS, "task3"])
    assert len(found) == 7, "half an epoch is none of these, and the control begins where the probe does"
    assert found.set_index(["stage", "task", "name"]).sort_index()["value"].loc[2, 0].to_dict() == {
        "dropped": 0.1,
        "recovered": 0.9,
        "shuffled": 0.3,
    }
