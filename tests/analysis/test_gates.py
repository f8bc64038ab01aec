from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import sections

from forgetting.analysis.gates import Gate, GateError, settle, task0_gates, task1_gates
from forgetting.analysis.summary import gates_table, read_gates
from forgetting.config.jobs.gates import GatesJob
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY
from forgetting.tables import write_table

NAN = float("nan")


def metrics(path: Path, rows: list[tuple[int, str, str, float]]) -> Path:
    frame = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    frame = frame.assign(scale="t", seed=0, stage="task1", arm="seq", kind="all", n=600, low=frame["value"], high=frame["value"])
    write_table(frame, path, METRICS)
    return path


def recovery(path: Path, rows: list[tuple[str, int, float, str, float]]) -> Path:
    frame = pd.DataFrame(rows, columns=["start", "checkpoint", "epochs", "split", "value"])
    frame = frame.assign(
        training="right",
        units=150,
        scale="t",
        seed=0,
        stage="recovery",
        arm="seq",
        kind="all",
        metric="exact_match",
        step=(frame["epochs"] * 57).astype(int),
    )
    write_table(frame.assign(n=600, low=frame["value"], high=frame["value"]), path, RECOVERY)
    return path


@pytest.fixture
def floors(tmp_path: Path) -> Path:
    return metrics(
        tmp_path / "floors.parquet",
        [(0, split, "exact_match", value) for split, value in (("task0_test", 0.01), ("control", 0.02), ("task1", 0.02))],
    )


def run_of(gates: str = "stop") -> GatesJob:
    return GatesJob(scale="t", seed=0, gates=gates, gate_thresholds=sections.gate_thresholds(), task1_epoch_steps=150)


def before_task1(tmp_path: Path, floors: Path, accuracy: float, control: float = 0.0, names: float = 1.0):
    pretrain = metrics(
        tmp_path / "pretrain.parquet", [(100, "pretrained", "first_token_hard", 0.5), (500, "pretrained", "first_token_hard", 0.99)]
    )
    task0 = metrics(
        tmp_path / "task0.parquet",
        [(0, "task0_test", "exact_match", 0.0), (225, "task0_test", "exact_match", accuracy), (225, "control", "exact_match", control)],
    )
    seen = [(0, split, f"pretrained_{what}_tokens", 1.0) for split in ("task1", "control") for what in ("name", "answer")]
    seen[0] = (0, "task1", "pretrained_name_tokens", names)
    return task0_gates(run_of(), floors, metrics(tmp_path / "coverage.parquet", seen), pretrain, task0)


def test_gates_read_the_end_of_each_stage(tmp_path: Path, floors: Path) -> None:
    gates = before_task1(tmp_path, floors, accuracy=0.97)
    assert {gate.gate: (gate.value, gate.passed) for gate in gates if not gate.gate.startswith("coverage")} == {
        "biography_first_token": (0.99, True),
        "task0_before": (0.97, True),
        "control after Task 0": (0.0, True),
    }


def test_a_failed_gate_stops_with_numbers_and_advice_and_writes_nothing(tmp_path: Path, floors: Path) -> None:
    gates = before_task1(tmp_path, floors, accuracy=0.8, control=0.2)
    with pytest.raises(GateError) as error:
        settle(gates, run_of("stop"), tmp_path / "gate.json")
    for expected in ("2 of 7 gates failed", "task0_before is 0.800", "must be >= 0.95", "choose them on task0_val", "a leak in the data"):
        assert expected in str(error.value)
    assert not (tmp_path / "gate.json").exists()
    settle(gates, run_of("warn"), tmp_path / "gate.json")
    assert [row["passed"] for row in json.loads((tmp_path / "gate.json").read_text())] == [True] * 5 + [False] * 2


def test_blank_names_fail_a_gate(tmp_path: Path, floors: Path) -> None:
    gates = before_task1(tmp_path, floors, accuracy=0.97, names=0.6)
    assert {gate.gate: gate.value for gate in gates if not gate.passed} == {"coverage of names of task1": 0.6}
    with pytest.raises(GateError, match=r"blank vectors: lower data\.pools"):
        settle(gates, run_of("stop"), tmp_path / "gate.json")


def of_sequential_arm(tmp_path: Path, floors: Path, before: float) -> dict[str, Gate]:
    curve = metrics(
        tmp_path / "task1.parquet",
        [(step, "task0_test", "exact_match", value) for step, value in ((0, before), (80, 0.2), (150, 0.3), (300, 0.05), (2000, 0.4))]
        + [(0, "task1", "exact_match", 0.0), (2000, "task1", "exact_match", 0.995)]
        + [(80, "control", "exact_match", 0.01), (2000, "control", "exact_match", 0.0)],
    )
    probes = recovery(
        tmp_path / "recovery.parquet",
        [("task1", 100, 1.0, "task0_test", 0.5), ("task1", 150, 1.0, "task0_test", 0.93), ("task1", 150, 5.0, "task0_test", 0.99)]
        + [("task1", 2000, 1.0, "task0_test", 0.7), ("task1", 150, 1.0, "control", 0.02)],
    )
    controls = recovery(
        tmp_path / "controls.parquet", [("pretrained", 0, 1.0, split, value) for split, value in (("control", 0.05), ("task0_test", 0.85))]
    )
    return {gate.gate: gate for gate in task1_gates(run_of(), floors, curve, probes, controls)}


def test_gates_of_the_sequential_arm(tmp_path: Path, floors: Path) -> None:
    gates = of_sequential_arm(tmp_path, floors, before=0.98)
    assert all(gate.applies for gate in gates.values())
    assert (gates["sequential_trough"].value, gates["sequential_trough"].step, gates["sequential_trough"].passed) == (0.2, 80, False)
    assert gates["sequential_task1_end"].value == 0.995 and gates["sequential_task1_end"].passed
    assert (gates["recovery_from_150"].step, gates["recovery_from_150"].control) == (150, 0.85)
    assert gates["sequential_task1_end"].floor == 0.02
    assert gates["recovery_from_150"].value == 0.93 and gates["recovery_from_150"].passed
    assert gates["control during Task 1"].passed and not gates["control during recovery"].passed


def test_the_highest_of_many_evaluations_by_chance_seldom_fails_a_gate(tmp_path: Path, floors: Path) -> None:
    """Guessing is right in 0.02 of 600 questions, 40 times; a leak of a tenth of them fails. 2,000 draws of such a study."""
    guesses = np.random.default_rng(0).binomial(600, 0.02, (2000, 40)) / 600
    rows = [(step, "control", "exact_match", value) for step, value in enumerate(guesses[0])]
    rest = [(step, split, "exact_match", 0.5) for split in ("task0_test", "task1") for step in (0, 100)]
    probes = recovery(
        tmp_path / "recovery.parquet", [("task1", step, 1.0, split, 0.1) for step in (50, 100) for split in ("task0_test", "control")]
    )
    controls = recovery(tmp_path / "controls.parquet", [("pretrained", 0, 1.0, "task0_test", 0.9)])
    gates = task1_gates(run_of(), floors, metrics(tmp_path / "task1.parquet", rows + rest), probes, controls)
    threshold = next(gate.threshold for gate in gates if gate.gate == "control during Task 1")
    assert 0 < np.mean(guesses.max(axis=1) > threshold) <= 0.015
    assert not next(gate.passed for gate in gates if gate.gate == "control during recovery")


def test_collapse_and_recovery_of_what_was_not_learned_do_not_apply(tmp_path: Path, floors: Path) -> None:
    """Which studies stop is decided as ever."""
    gates = of_sequential_arm(tmp_path, floors, before=0.9)
    assert [name for name, gate in gates.items() if not gate.applies] == ["sequential_trough", "recovery_from_150"]
    assert [name for name, gate in gates.items() if not gate.passed] == ["sequential_trough", "control during recovery"]
    assert str(gates["sequential_trough"]).startswith("not applicable: sequential_trough is 0.200")
    with pytest.raises(GateError, match="2 of 5 gates failed"):
        settle([*gates.values()], run_of("stop"), tmp_path / "gate.json")
    settle([*gates.values()], run_of("warn"), tmp_path / "gate.json")
    table = gates_table(read_gates([tmp_path / "gate.json"]))
    assert table["passed"].tolist() == ["not applicable", "yes", "not applicable", "yes", "NO"]
