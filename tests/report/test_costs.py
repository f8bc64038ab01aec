"""What a study cost by stage, against sums by hand."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pandas as pd
import pytest

from forgetting.config.jobs import base
from forgetting.report.costs import read_training, stage_totals
from forgetting.report.runtimes import Job
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY
from forgetting.stages.measurements import of_run, run_metrics
from forgetting.tables import write_table

ON_GPU = {
    "seconds": 100.0,
    "trained_tokens": 3e6,
    "padding_share": 0.25,
    "trained_operations": 4e15,
    "model_flop_utilisation": 0.4,
    "devices": 1.0,
    "peak_device_memory": 5e9,
    "energy_joules": 1.8e6,
}
ON_CPU = {name: ON_GPU[name] for name in ("seconds", "trained_tokens", "padding_share", "trained_operations")}


def job(stage: str, start: float, seconds: float, seed: str = "seed0") -> Job:
    return Job(stage, seed, seconds, cpu_seconds=2 * seconds, memory=100.0, ended=start + seconds)


def write(results: Path, path: str, values: dict[str, float]) -> None:
    """Metrics of a finished job, some that are not about costs among them."""
    stage = path.split("/")[1]
    frame = of_run(run_metrics(10, {"loss": 1.0} | values), base.Job(scale="tiny", seed=0, stage=stage, arm="seq"))
    of_questions = run_metrics(10, {"exact_match": 0.5}).assign(split="task0_test", scale="tiny", seed=0, stage=stage, arm="seq")
    whole = pd.concat([frame, of_questions], ignore_index=True)
    schema = METRICS
    if stage == "recovery":
        whole, schema = whole.assign(start="all", training="all", units=0, checkpoint=-1, epochs=3.0), RECOVERY
    write_table(whole, results / path / "metrics.parquet", schema)


def test_only_jobs_that_trained_are_counted_each_in_its_stage(tmp_path: Path) -> None:
    for path in ("seed0/pretrain", "seed0/task0-lamol/0.25", "seed0/task1/seq", "seed1/task1/seq", "seed0/recovery/controls"):
        write(tmp_path, path, ON_GPU)
    write(tmp_path, "seed0/task1/task-vector-0.2", {"seconds": 100.0})
    write(tmp_path, "seed0/task0", {"seconds": 50.0, "tokens_per_second": 5.0})
    found = read_training(tmp_path)
    assert {stage: len(jobs) for stage, jobs in found.items()} == {"pretrain": 1, "task0-lamol": 1, "task1": 2, "recovery": 1}
    assert found["recovery"] == [ON_GPU | {"loss": 1.0, "seed": 0}]
    assert [values["seed"] for values in found["task1"]] == [0, 1]


def test_totals_by_stage_by_hand() -> None:
    jobs = [job("data", 0, 36), job("pretrain", 36, 360), job("task1", 400, 180), job("task1", 400, 540), job("views/theory", 1000, 72)]
    four = ON_GPU | {"devices": 4.0, "seed": 0}
    less = ON_GPU | {"seed": 0} | {"seconds": 300.0, "padding_share": 0.5, "model_flop_utilisation": 0.1, "peak_device_memory": 7e9}
    data, pretrain, task1, views, everything = stage_totals(jobs, {"pretrain": [four], "task1": [ON_GPU | {"seed": 0}, less]})
    assert [cost.stage for cost in (data, pretrain, task1, views, everything)] == ["data", "pretrain", "task1", "views", "all"]
    assert isnan(data.gpu_hours) and data.core_hours == 0.02 and isnan(data.tokens)
    assert pretrain.gpu_hours == pytest.approx(0.4) and pretrain.energy == 0.5
    assert task1.jobs == 2 and task1.gpu_hours == pytest.approx(0.2) and task1.core_hours == pytest.approx(0.4)
    assert task1.tokens == 6e6 and task1.tokens_per_second == 6e6 / 400
    assert task1.padding == pytest.approx(1 - 6e6 / (4e6 + 6e6))
    assert task1.utilisation == pytest.approx(8e15 / (1e16 + 4e16))
    assert task1.memory == 7e9 and task1.energy == 1
    assert views.gpu_hours == pytest.approx(0.02) and isnan(views.energy)
    assert everything.jobs == 5 and everything.tokens == 9e6 and everything.energy == 1.5
    assert everything.gpu_hours == pytest.approx(0.4 + 0.2 + 0.02)


def test_seeds_may_have_used_different_devices() -> None:
    jobs = [job("pretrain", 0, 3600), job("pretrain", 0, 720, "seed1"), job("pretrain", 0, 9999, "seed2")]
    on = [ON_GPU | {"devices": 1.0, "seed": 0}, ON_GPU | {"devices": 8.0, "seed": 1}, ON_CPU | {"seed": 2}]
    pretrain, _ = stage_totals(jobs, {"pretrain": on})
    assert pretrain.gpu_hours == pytest.approx(1 + 8 * 0.2), "nothing for the seed that ran on a CPU"


def test_without_a_device_there_are_core_hours_alone() -> None:
    cost, everything = stage_totals([job("task0", 0, 180)], {"task0": [ON_CPU | {"seed": 0}]})
    assert cost.core_hours == everything.core_hours == 0.1 and cost.padding == pytest.approx(0.25)
    for value in (cost.gpu_hours, cost.utilisation, cost.memory, cost.energy, everything.gpu_hours):
        assert isnan(value)


def test_results_of_an_older_version_have_times_alone() -> None:
    cost, _ = stage_totals([job("task0", 0, 180)], {})
    assert cost.core_hours == 0.1 and isnan(cost.tokens) and isnan(cost.padding)
