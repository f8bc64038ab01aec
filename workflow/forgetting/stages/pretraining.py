"""Pretraining on biographies (docs/definitions.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.config.sections import PRETRAINED_GROUPS
from forgetting.data.items import Biographies
from forgetting.evaluation.exact import biography_first_token
from forgetting.intervals import clustered_wilson
from forgetting.model.checkpoints import build_model, publish, save_checkpoint
from forgetting.model.manifest import withdraw_manifest, write_manifest
from forgetting.scenarios.biography.batches import BiographyBatches
from forgetting.scenarios.biography.questions import read_questions
from forgetting.scenarios.biography.rendering import Renderer, read_templates
from forgetting.scenarios.biography.tokenizer import encode, end_token, load_tokenizer
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.people import PEOPLE
from forgetting.stages.measurements import of_run, training_metrics
from forgetting.tables import read_table, write_table
from forgetting.training.distributed import World, join
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch

EVALUATIONS = 8


def pretrain(job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path) -> None:
    """Train a model from random weights on the biographies; writes model/, late/, their manifest and metrics.parquet. Processes that the
    launcher started share each batch."""
    with join() as (world, device):
        _pretrain(job, data, resources, scratch_folder, output, world, device)


def _pretrain(
    job: PretrainJob, data: Path, resources: Path, scratch_folder: Path, output: Path, world: World, device: torch.device
) -> None:
    config = job.pretrain
    people = read_table(data / "people.parquet", PEOPLE)
    biographies = Biographies.load(data / "biographies.arrow")
    tokenizer = load_tokenizer(data / "tokenizer")
    end = end_token(tokenizer)
    templates, questions = read_templates(resources / "templates"), read_questions(resources / "questions.yaml")
    renderer = Renderer(people, templates, questions, lambda strings: encode(tokenizer, strings), end)
    persons = people.index[people["group"].isin(PRETRAINED_GROUPS)].to_numpy()
    batches = BiographyBatches(config, job.data, renderer, persons, biographies.rows, job.seed, end)

    with world.leader_first():
        scratch = Scratch(scratch_folder, job, [data / "people.parquet", data / "biographies.arrow"], [Path(__file__)])
    model = build_model(job.model, tokenizer.get_vocab_size(), job.seed).to(device)
    late = round(config.late_fraction * config.steps)
    group_of_person = people["group"].to_numpy()

    def evaluate(step: int) -> dict[str, Any]:
        if step == late:
            save_checkpoint(model, scratch.folder / "late")
        facts = biography_first_token(model, biographies, group_of_person, job.evaluation_batch_size)
        by_attribute = [(name, rows) for name, rows in facts.groupby("attribute")] + [("all", facts)]
        print(f"step {step}  first token in biographies {facts['first_token_hard'].mean():.3f}", flush=True)
        return {
            str(name): [len(rows), *clustered_wilson(rows["first_token_hard"].to_numpy(), rows["person"].to_numpy())]
            for name, rows in by_attribute
        }

    evaluate_at = frozenset(round(config.steps * part / EVALUATIONS) for part in range(EVALUATIONS + 1))
    plan = Plan(config.steps, batches, config.optimizer, config.schedule, evaluate_at | {late}, evaluate, job.precision)
    history = train(model, plan, scratch, world)
    if not world.leads:
        return

    rows = [
        (int(step), "pretrained", name, "first_token_hard", value, n, low, high)
        for step, found in history.evaluations.items()
        for name, (n, value, low, high) in found.items()
    ]
    columns = ["step", "group", "attribute", "metric", "value", "n", "low", "high"]
    metrics = pd.concat([pd.DataFrame(rows, columns=columns), training_metrics(history, model)], ignore_index=True)
    write_table(of_run(metrics, job), output / "metrics.parquet", METRICS)
    withdraw_manifest(output)
    publish(scratch.folder / "late", output / "late")
    save_checkpoint(model, output / "model")
    write_manifest(output, ["late", "model"])
    scratch.remove()
