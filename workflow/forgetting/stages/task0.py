"""Task 0: the pretrained model learns to answer questions (docs/definitions.md)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from forgetting.config.jobs.task0 import Task0Job
from forgetting.data.items import Items
from forgetting.evaluation.scorers import SCORERS
from forgetting.model.checkpoints import CHECKPOINTS, WEIGHTS, load_checkpoint, pick_device, save_checkpoint
from forgetting.model.manifest import step_name, withdraw_manifest
from forgetting.stages.keeper import kept_steps, publish_end
from forgetting.stages.measurements import evaluate_facts, print_accuracy, training_metrics, write_measurements
from forgetting.training.batches import Batches, QuestionBatches, epoch_steps
from forgetting.training.loop import Plan, train
from forgetting.training.moments import MOMENTS
from forgetting.training.resume import Scratch


def finetune_task0(
    job: Task0Job,
    data: Path,
    start: Path,
    scratch_folder: Path,
    output: Path,
    extended: Callable[[QuestionBatches], Batches] = lambda batches: batches,
) -> None:
    """Teach the pretrained model to answer questions about `task0_train`; writes model/ with the last state of AdamW beside its weights,
    checkpoints/, their manifest, metrics.parquet and facts.parquet.

    `extended` makes what is trained on from the batches of questions, for a method that needs more than these.
    """
    config, scorer = job.task0, SCORERS[job.scorer]
    questions = Items.load(data / "items.parquet")
    batches = QuestionBatches(questions.of("task0_train"), config.batch_size, job.seed)
    steps = epoch_steps(len(batches.questions), config.batch_size, config.epochs)
    kept = kept_steps(config.kept_fractions, steps)
    evaluate_at = frozenset(np.linspace(0, steps, max(2, round(config.epochs)) + 1).round().astype(int).tolist()) | set(kept)

    model = load_checkpoint(start).to(pick_device())
    code = [Path(__file__), Path(inspect.getfile(extended))]
    scratch = Scratch(scratch_folder, job, [data / "items.parquet", start / WEIGHTS], code)
    measured = questions.select(questions.measured).first_units(job.evaluation.units_per_split)

    def evaluate(step: int) -> dict[str, torch.Tensor]:
        if step in kept:
            save_checkpoint(model, scratch.folder / CHECKPOINTS / step_name(step))
        facts = evaluate_facts(scorer, model, measured, job.evaluation.batch_size)
        print_accuracy(step, facts, measured, scorer)
        return facts

    plan = Plan(
        steps,
        extended(batches),
        config.optimizer,
        config.schedule,
        evaluate_at,
        evaluate,
        job.precision,
        kept=output / "model" / MOMENTS,
    )
    withdraw_manifest(output)
    history = train(model, plan, scratch)
    write_measurements(history.evaluations, measured, scorer, job, output, lambda metrics: training_metrics(history, model))
    publish_end(model, scratch.folder / CHECKPOINTS, output)
    scratch.remove()
