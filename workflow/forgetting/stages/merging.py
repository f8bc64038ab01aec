"""Task vector: after sequential training, part of the way from theta* is taken back. Nothing is trained."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch
from torch import Tensor

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.steps import checkpoint_steps
from forgetting.data.items import Items
from forgetting.methods.task_vector import Knobs
from forgetting.model.checkpoints import CHECKPOINTS, load_checkpoint, pick_device
from forgetting.model.manifest import step_name
from forgetting.schemas.metrics import METRICS
from forgetting.stages.finetune import exam_of, write_run
from forgetting.stages.keeper import Keeper
from forgetting.stages.measurements import run_metrics
from forgetting.tables import read_table

Weights = dict[str, Tensor]
BYTES_PER_WEIGHT = 4


def without_task_vector(weights: Weights, vector_end: Weights, start: Weights, alpha: float) -> Weights:
    """theta_e - alpha (theta_E - theta*), given theta_e, theta_E and theta* (docs/definitions.md). With alpha 1 and
    e = E exactly theta*."""
    return {name: (value - vector_end[name]) + torch.lerp(vector_end[name], start[name], alpha) for name, value in weights.items()}


def apply_task_vector(job: FinetuneJob, data: Path, start: Path, base: Path, output: Path) -> None:
    """Score the arm at every checkpoint of the run `base` (e); writes what a Task 1 job writes.

    The vector ends at the same checkpoint (E = e), or at that nearest to the share `vector_end` of the run. Step 0 is theta* itself.
    Cost is that of the run and of the arithmetic.
    """
    config = job.task1
    arm = Knobs.model_validate(job.method)
    device = pick_device()
    model = load_checkpoint(start).to(device)
    exam = exam_of(job, config, Items.load(data / "items.parquet"))

    def weights_at(step: int) -> Weights:
        folder = base / CHECKPOINTS / step_name(step) if step else start
        return {name: value.to(device) for name, value in load_checkpoint(folder).state_dict().items()}

    before = weights_at(0)
    steps = checkpoint_steps(config, config.steps)
    target = None if arm.vector_end is None else arm.vector_end * config.steps
    end = None if target is None else min(steps, key=lambda step: abs(step - target))
    vector_end = None if end is None else weights_at(end)
    evaluations, seconds = {"0": exam.facts(model, at_an_end=True)}, 0.0
    keeper = Keeper(output / "kept", checkpoint_steps(config, config.steps, job.every_checkpoint), job.checkpoint_precision)
    for step in steps:
        weights = weights_at(step)
        started = time.perf_counter()
        model.load_state_dict(without_task_vector(weights, vector_end or weights, before, arm.alpha))
        seconds += time.perf_counter() - started
        facts = evaluations[str(step)] = exam.facts(model, at_an_end=step == steps[-1])
        keeper.keep(model, step)
        keeper.match(model, step, exam.learned(facts))
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
    write_run(evaluations, exam, job, output, run_metrics(config.steps, cost))
    keeper.publish(output)
    shutil.rmtree(output / "kept")
