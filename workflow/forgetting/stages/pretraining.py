"""Pretraining on the texts of a scenario (docs/definitions.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedModel

from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.intervals import clustered_wilson
from forgetting.model.anatomy import Anatomy
from forgetting.model.checkpoints import CHECKPOINTS, build_model, save_checkpoint
from forgetting.model.given import load_given, load_given_tokenizer, require_fit
from forgetting.model.given_files import require_memory
from forgetting.scenarios.biography.pretraining import Corpus
from forgetting.schemas.metrics import METRICS
from forgetting.stages.keeper import kept_steps, publish_end, step_name
from forgetting.stages.measurements import of_run, training_metrics
from forgetting.tables import write_table
from forgetting.training.distributed import World, join
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch

EVALUATIONS = 8


def pretrain(job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path) -> None:
    """Train a model on the texts of the data, from random or given weights; writes model/, checkpoints/, their manifest
    and metrics.parquet. A given model that is not to be trained is written as it is. Processes that the launcher started
    share each batch."""
    with join() as (world, device):
        _pretrain(job, data, resources, scratch_folder, output, world, device)


def _pretrain(
    job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path, world: World, device: torch.device
) -> None:
    config = job.pretrain
    corpus = Corpus(job, data, resources)
    with world.leader_first():
        scratch = Scratch(scratch_folder, job, corpus.inputs, [Path(__file__)])
    model = _start(job, corpus).to(device)
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
    if job.model.reads_biographies:
        history = train(model, plan, scratch, world)
        evaluations, costs = history.evaluations, [training_metrics(history, model)]
    else:
        evaluations, costs = {"0": evaluate(0)}, []
    if not world.leads:
        return

    rows = [
        (int(step), "pretrained", name, "first_token_hard", value, n, low, high)
        for step, found in evaluations.items()
        for name, (n, value, low, high) in found.items()
    ]
    columns = ["step", "split", "kind", "metric", "value", "n", "low", "high"]
    metrics = pd.concat([pd.DataFrame(rows, columns=columns), *costs], ignore_index=True)
    write_table(of_run(metrics, job), output / "metrics.parquet", METRICS)
    publish_end(model, scratch.folder / CHECKPOINTS, output)
    scratch.remove()


def _start(job: PretrainJob, corpus: Corpus) -> PreTrainedModel:
    """The model before it is trained on the texts: random weights, or given ones."""
    given = job.model
    if given.name is None:
        return build_model(given, corpus.vocabulary, job.seed)
    model = load_given(given.name, trust_remote_code=given.trust_remote_code)
    require_fit(model, load_given_tokenizer(given.name), given.name)
    require_memory(given.name, model.num_parameters(), trained=True)
    Anatomy(model.config)
    return model
