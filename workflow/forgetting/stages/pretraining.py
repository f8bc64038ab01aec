"""Pretraining on the texts of a scenario (docs/definitions.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.intervals import clustered_wilson
from forgetting.model.checkpoints import CHECKPOINTS, build_model, save_checkpoint
from forgetting.model.manifest import step_name
from forgetting.scenarios.biography.pretraining import Corpus
from forgetting.schemas.metrics import METRICS
from forgetting.stages.keeper import kept_steps, publish_end
from forgetting.stages.measurements import of_run, training_metrics
from forgetting.tables import write_table
from forgetting.training.distributed import World, join
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch

EVALUATIONS = 8


def pretrain(job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path) -> None:
    """Train a model from random weights on the texts of the data; writes model/, checkpoints/, their manifest and metrics.parquet.
    Processes that the launcher started share each batch."""
    with join() as (world, device):
        _pretrain(job, data, resources, scratch_folder, output, world, device)


def _pretrain(
    job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path, world: World, device: torch.device
) -> None:
    config = job.pretrain
    corpus = Corpus(job, data, resources)
    with world.leader_first():
        scratch = Scratch(scratch_folder, job, corpus.inputs, [Path(__file__)])
    model = build_model(job.model, corpus.vocabulary, job.seed).to(device)
    kept = kept_steps(config.kept_fractions, config.steps)

    def evaluate(step: int) -> dict[str, Any]:
        if step in kept:
            save_checkpoint(model, scratch.folder / CHECKPOINTS / step_name(step))
        facts = corpus.score(model, job.evaluation_batch_size)
        by_kind = [(name, rows) for name, rows in facts.groupby("kind")] + [("all", facts)]
        print(f"step {step}  first token in the texts {facts['first_token_hard'].mean():.3f}", flush=True)
        return {
            str(name): [len(rows), *clustered_wilson(rows["first_token_hard"].to_numpy(), rows["unit"].to_numpy())]
            for name, rows in by_kind
        }

    evaluate_at = frozenset(round(config.steps * part / EVALUATIONS) for part in range(EVALUATIONS + 1))
    plan = Plan(config.steps, corpus.batches, config.optimizer, config.schedule, evaluate_at | set(kept), evaluate, job.precision)
    history = train(model, plan, scratch, world)
    if not world.leads:
        return

    rows = [
        (int(step), "pretrained", name, "first_token_hard", value, n, low, high)
        for step, found in history.evaluations.items()
        for name, (n, value, low, high) in found.items()
    ]
    columns = ["step", "split", "kind", "metric", "value", "n", "low", "high"]
    metrics = pd.concat([pd.DataFrame(rows, columns=columns), training_metrics(history, model)], ignore_index=True)
    write_table(of_run(metrics, job), output / "metrics.parquet", METRICS)
    publish_end(model, scratch.folder / CHECKPOINTS, output)
    scratch.remove()
