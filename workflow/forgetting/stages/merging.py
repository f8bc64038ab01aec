"""Task vector: after sequential training, part of the way from theta* is taken back. Nothing is trained."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from forgetting.config.job import Run
from forgetting.config.sections import MEASURED_GROUPS, Task1
from forgetting.config.steps import checkpoint_steps
from forgetting.data.items import Questions
from forgetting.methods.task_vector import Knobs
from forgetting.model.checkpoints import load_checkpoint, pick_device, save_checkpoint
from forgetting.schemas.metrics import METRICS
from forgetting.stages.measurements import Task1Exam, run_metrics, write_measurements
from forgetting.stages.task1 import early_stop_metric, step_name
from forgetting.tables import read_table

Weights = dict[str, Tensor]
BYTES_PER_WEIGHT = 4


def without_task_vector(weights: Weights, vector_end: Weights, start: Weights, alpha: float) -> Weights:
    """theta_e - alpha (theta_E - theta*), given theta_e, theta_E and theta* (science §6). With alpha 1 and e = E exactly theta*."""
    return {name: (value - vector_end[name]) + torch.lerp(vector_end[name], start[name], alpha) for name, value in weights.items()}


def apply_task_vector(run: Run, data: Path, start: Path, base: Path, output: Path) -> None:
    """Score the arm at every checkpoint of the run `base` (e); writes what a Task 1 job writes.

    The vector ends at the same checkpoint (E = e), or at that nearest to the share `vector_end` of the run. Step 0 is theta* itself.
    Cost is that of the run and of the arithmetic.
    """
    config: Task1 = run.need("task1")
    arm = Knobs.model_validate(run.need("method"))
    device = pick_device()
    model = load_checkpoint(start).to(device)
    questions = Questions.load(data / "qa.parquet").of_groups(*MEASURED_GROUPS)
    exam = Task1Exam(questions, run.evaluation.persons_per_group, config.early_stop_accuracy, run.evaluation.batch_size)

    def weights_at(step: int) -> Weights:
        folder = base / "checkpoints" / step_name(step) if step else start
        return {name: value.to(device) for name, value in load_checkpoint(folder).state_dict().items()}

    before = weights_at(0)
    steps = checkpoint_steps(config, config.steps)
    keep = checkpoint_steps(config, config.steps, run.every_checkpoint)
    target = None if arm.vector_end is None else arm.vector_end * config.steps
    end = None if target is None else min(steps, key=lambda step: abs(step - target))
    vector_end = None if end is None else weights_at(end)
    evaluations, seconds = {"0": exam.facts(model)}, 0.0
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    matched, precision = output / "checkpoints" / "matched", run.storage.checkpoint_precision
    for step in steps:
        weights = weights_at(step)
        started = time.perf_counter()
        model.load_state_dict(without_task_vector(weights, vector_end or weights, before, arm.alpha))
        seconds += time.perf_counter() - started
        facts = evaluations[str(step)] = exam.facts(model)
        if step in keep:
            save_checkpoint(model, output / "checkpoints" / step_name(step), precision)
        if (exam.learned(facts) or step == config.steps) and not matched.exists():
            save_checkpoint(model, matched, precision)
    parameters = sum(value.numel() for value in before.values())
    trained = read_table(base / "metrics.parquet", METRICS)
    trained_seconds = trained.loc[trained["metric"] == "seconds", "value"].iloc[-1]
    cost = {
        "seconds": trained_seconds + seconds,
        "trained_parameters": parameters,
        "preparation_seconds": 0,
        "prepared_rows": 0,
        "trained_rows": config.steps * config.batch_size,
        "stored_bytes": BYTES_PER_WEIGHT * parameters * (1 if end is None else 2),
    }
    write_measurements(
        evaluations,
        exam.questions,
        run,
        "task1",
        output,
        lambda metrics: pd.concat([early_stop_metric(metrics, config.early_stop_accuracy), run_metrics(config.steps, cost)]),
    )
