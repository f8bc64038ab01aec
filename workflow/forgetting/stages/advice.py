"""Short trials of the methods on a model that somebody else trained: plain fine-tuning on the new task, freezing, replay and LoRA, all
with the same new examples in the same order, at the same multiples of a rate, measured at the same steps (docs/advise.md)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedModel

from forgetting.config.advice import Trial
from forgetting.config.jobs.advice import AdviceJob
from forgetting.config.knobs import parse_arm
from forgetting.config.sections import Optimizer, Schedule, Task1
from forgetting.data.tried import LEARNED, LORA, MEASURED, OLD_TEST, OLD_TRAIN, PLAIN
from forgetting.evaluation.given import GivenQuestions
from forgetting.methods.base import Setting, build_method
from forgetting.model.anatomy import Anatomy
from forgetting.model.given_files import require_memory
from forgetting.schemas.advice import TRIALS, TRIED
from forgetting.stages.given_training import RATE_OF_LORA, training_rate, with_lora
from forgetting.tables import read_table, write_table
from forgetting.training.batches import Batches, QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch
from forgetting.training.step import Hooks

CODE = (Path(__file__), *(Path(__file__).parents[1] / "methods" / name / "method.py" for name in ("seq", "freeze", "replay")))
"""What the finished trials of an interrupted job are bound to, with all that it imports."""


@dataclass(frozen=True)
class Way:
    """A method, ready to train. words: for a reader; stored: old examples that it keeps."""

    hooks: Hooks
    batches: Batches
    words: str
    stored: int = 0


def try_method(job: AdviceJob, name: str, data: Path, scratch_folder: Path, output: Path) -> None:
    """Write `<name>.parquet` (TRIED) and `<name>-trials.parquet` (TRIALS) of all rates and seeds into `output`. name: one of
    `Advice.tried`."""
    questions = GivenQuestions(job.advice, data)
    scratch = Scratch(scratch_folder, job, [data / "items.parquet", data / "rows.parquet"], CODE)
    runs = [(rate, seed) for rate in job.advice.trial.rates for seed in range(job.advice.trial.seeds)]
    paths = [scratch.folder / f"{rate}-{seed}.parquet" for rate, seed in runs]
    for path, (rate, seed) in zip(paths, runs, strict=True):
        if not path.exists():
            tried, trial = one_trial(job, name, rate, seed, questions)
            write_table(trial, path.with_suffix(".trial.parquet"), TRIALS)
            write_table(tried, path, TRIED)
    for suffix, kind, schema in (("", ".parquet", TRIED), ("-trials", ".trial.parquet", TRIALS)):
        frames = [read_table(path.with_suffix(kind), schema) for path in paths]
        write_table(pd.concat(frames, ignore_index=True), output / f"{name}{suffix}.parquet", schema)
    shutil.rmtree(scratch.folder, ignore_errors=True)


def one_trial(job: AdviceJob, name: str, rate: float, seed: int, questions: GivenQuestions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """TRIED and TRIALS rows of one method, multiple of the rate, and seed. Raises StudyError for a model that is too large to be trained
    here."""
    trial = job.advice.trial
    model = questions.load_named(job.advice.before)
    weights = sum(parameter.numel() for parameter in model.parameters())
    if name != LORA:
        require_memory(job.advice.before, weights, trained=True)
    alone = questions.same_alone(model, OLD_TEST) if name == PLAIN and (rate, seed) == (trial.rates[0], 0) else float("nan")
    training = training_of(trial, rate, weights, low_rank=name == LORA)
    way = prepared(name, model, questions, training, job.seed * 1000 + seed)
    plan = Plan(
        trial.steps,
        way.batches,
        training.optimizer,
        training.schedule,
        frozenset({0, trial.steps, *(step for step in trial.evaluate_steps if step < trial.steps)}),
        lambda step: questions.measured(model, questions.where(*MEASURED)).assign(step=step),
        job.advice.precision,
        way.hooks,
    )
    history = train(model, plan)
    tried = pd.concat(history.evaluations.values(), ignore_index=True).assign(method=name, rate=rate, seed=seed)
    moved = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    learning_rate = training.optimizer.learning_rate
    row = (name, rate, seed, learning_rate, way.words, history.seconds, history.rows, weights, moved, way.stored, alone)
    ends = tried[tried["step"] == trial.steps].groupby("split")["score"].mean()
    said = "  ".join(f"{split} {value:.3f}" for split, value in ends.items())
    print(f"{name}, rate {learning_rate:.2g}, seed {seed}: {said}  {history.seconds:.0f} s", flush=True)
    return tried, pd.DataFrame([row], columns=TRIALS.names)


def training_of(trial: Trial, rate: float, weights: int, low_rank: bool) -> Task1:
    """The trial, at a multiple of its rate, as the methods know a task. The rate stays as it is, so that every evaluation is where a trial
    might have ended."""
    learning_rate = rate * training_rate(trial.learning_rate, weights, low_rank=False) * (RATE_OF_LORA if low_rank else 1)
    return Task1(
        steps=trial.steps,
        batch_size=trial.batch_size,
        optimizer=Optimizer(learning_rate=learning_rate, weight_decay=trial.weight_decay),
        schedule=Schedule(warmup_steps=0, final_fraction=1.0),
        early_stop_accuracy=1.0,
        evaluate=[],
        evaluate_later=trial.steps,
        checkpoints=[],
        later_checkpoints=1,
    )


def prepared(name: str, model: PreTrainedModel, questions: GivenQuestions, training: Task1, seed: int) -> Way:
    """The method of that name. Raises StudyError for one that the model cannot have."""
    new = QuestionBatches(questions.items.of(*LEARNED), training.batch_size, seed)
    if name == LORA:
        return Way(with_lora(model, seed, "advise.trial.lora"), new, "LoRA of rank 16")
    entry, words = method_entry(name, model)
    method = build_method(parse_arm(entry))
    setting = Setting(
        model=model,
        task0_train=questions.items.of(OLD_TRAIN),
        task1=new,
        training=training,
        precision=questions.config.precision,
        seed=seed,
        tokenizer=getattr(questions.tokenizer, "backend_tokenizer", questions.tokenizer),  # which none of these methods reads
        held_out=frozenset(),
    )
    method.before_task(setting)
    stored = len(method.store) if hasattr(method, "store") else 0
    return Way(method, method.batches(), words, stored=stored)


def method_entry(name: str, model: PreTrainedModel) -> tuple[dict[str, Any], str]:
    """What an entry of `config/methods.yaml` would say of a method, and in words. A share of the layers is rounded up."""
    kind, _, number = name.partition("-")
    if kind == "freeze":
        layers = Anatomy(model.config).layers
        frozen = ceil(float(number) / 100 * layers - 1e-9)
        return {"method": kind, "layers": frozen}, f"freeze embedding and {frozen} of {layers} layers" if frozen else "freeze embedding"
    if kind == "replay":
        return {"method": kind, "share": float(number) / 100, "mix": "batch"}, f"replay of {number} % of the old units"
    return {"method": PLAIN}, "plain fine-tuning"
