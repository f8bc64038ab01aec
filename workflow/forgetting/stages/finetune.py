"""A task after Task 0 under one method (docs/definitions.md): Task 1, or one that follows it in a sequence."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.knobs import parse_arm
from forgetting.config.sections import Task1
from forgetting.config.steps import arm_steps, arm_training, checkpoint_steps, evaluation_steps
from forgetting.data.items import Items
from forgetting.data.points import EARLY_STOP
from forgetting.data.task1 import files_of_arm, questions_of_arm
from forgetting.evaluation.scorers import SCORERS
from forgetting.methods.base import Setting, build_method
from forgetting.model.checkpoints import WEIGHTS, load_checkpoint, pick_device
from forgetting.scenarios.biography.people import held_out_names
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.stages.keeper import Keeper
from forgetting.stages.measurements import Exam, print_accuracy, run_metrics, training_metrics, write_measurements
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.moments import MOMENTS
from forgetting.training.resume import Scratch


def finetune(job: FinetuneJob, data: Path, starts: Sequence[Path], scratch_folder: Path, output: Path) -> None:
    """Train on the task of the job by the arm's method; writes checkpoints/step-*/, checkpoints/matched/, their manifest, metrics.parquet
    and facts.parquet.

    starts: the model after Task 0 and after each task that the arm has learned since; training starts from the last of them. `matched`
    holds the weights at the first evaluation at which exact match of the task is at least `early_stop_accuracy`, the end when
    there is none: as an early stop changes nothing before it, these are the weights of the early-stopped arm.
    """
    arm = parse_arm(job.method)
    config = arm_training(job.task1, arm)
    steps = arm_steps(config, arm)
    questions = questions_of_arm(data, arm.cell, arm.units)
    start = starts[-1]
    model = load_checkpoint(start).to(pick_device())
    carried = start / MOMENTS if arm.carried_state else None
    method = build_method(arm)
    inputs = [*files_of_arm(data, arm.cell), *(folder / WEIGHTS for folder in starts), *([carried] if carried else [])]
    scratch = Scratch(scratch_folder, job, inputs, [Path(__file__), Path(inspect.getfile(type(method)))])
    kept = checkpoint_steps(config, steps, job.every_checkpoint)
    keeper = Keeper(scratch.folder, kept, job.checkpoint_precision, goes_on=bool(job.later))

    started = time.perf_counter()
    method.before_task(_setting(job, config, model, starts, questions, data))
    preparation = time.perf_counter() - started
    exam = exam_of(job, config, questions)

    def evaluate(step: int) -> dict[str, torch.Tensor]:
        keeper.keep(model, step)
        facts = exam.facts(model, at_an_end=step in (0, steps))
        print_accuracy(step, facts, exam.questions, exam.scorer)
        keeper.match(model, step, exam.learned(facts))
        return facts

    plan = Plan(
        steps,
        method.batches(),
        config.optimizer,
        config.schedule,
        frozenset(evaluation_steps(config, steps)),
        evaluate,
        job.precision,
        method,
        schedule_steps=config.steps,
        carried=carried,
    )
    history = train(model, plan, scratch)
    cost = {"preparation_seconds": preparation, "prepared_rows": method.prepared_rows}
    cost |= {"trained_rows": history.rows, "stored_bytes": method.stored_bytes}
    of_run = pd.concat([training_metrics(history, model, method.held_weights), run_metrics(steps, cost | method.after_task())])
    write_run(history.evaluations, exam, job, output, of_run)
    keeper.publish(output)
    scratch.remove()


def _setting(job: FinetuneJob, config: Task1, model: PreTrainedModel, starts: Sequence[Path], questions: Items, data: Path) -> Setting:
    return Setting(
        model=model,
        task0_train=questions.of("task0_train"),
        task1=QuestionBatches(questions.of(job.stage), config.batch_size, job.seed),
        training=config,
        precision=job.precision,
        seed=job.seed,
        tokenizer=load_tokenizer(data / "tokenizer"),
        held_out=held_out_names(data, job.earlier),
        since=tuple(questions.of(task) for task in job.earlier),
        former_weights=tuple(starts[:-1]),
        goes_on=bool(job.later),
    )


def exam_of(job: FinetuneJob, config: Task1, questions: Items) -> Exam:
    """What an arm that `config` trains is asked. Of tasks that it never learns, nothing."""
    foreign = ~np.isin(questions.task, ["task0", "none", *job.tasks])
    asked = questions.select(questions.measured & ~foreign)
    limit, size = job.evaluation.units_per_split, job.evaluation.batch_size
    return Exam(SCORERS[job.scorer], asked, limit, config.early_stop_accuracy, size, job.stage, job.earlier, job.later)


def write_run(evaluations: Mapping[str, dict[str, torch.Tensor]], exam: Exam, job: FinetuneJob, output: Path, of_run: pd.DataFrame) -> None:
    """Write metrics.parquet and facts.parquet of an arm, given what was measured by step and the rows that concern the whole run."""

    def of_whole_run(metrics: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([early_stop_metric(metrics, exam.task, exam.early_stop_accuracy, exam.scorer.measures.accuracy), of_run])

    write_measurements(evaluations, exam.questions, exam.scorer, job, output, of_whole_run)


def early_stop_metric(metrics: pd.DataFrame, task: str, accuracy: float, measure: str) -> pd.DataFrame:
    """One row: the first step at which `measure` of the task is at least `accuracy`, NaN when it never is; n: how many questions were
    asked.

    From `ASK_ALL_FROM` of that accuracy on these are the questions of all units of the task.
    """
    rows = metrics[(metrics["split"] == task) & (metrics["kind"] == "all") & (metrics["metric"] == measure)]
    rows = rows.sort_values("step")
    reached = rows[rows["value"] >= accuracy]
    value = float(reached["step"].iloc[0]) if len(reached) else float("nan")
    asked = (reached if len(reached) else rows.tail(1))["n"].iloc[0]
    return pd.DataFrame(
        [(int(rows["step"].max()), task, "all", EARLY_STOP, value, asked, float("nan"), float("nan"))],
        columns=["step", "split", "kind", "metric", "value", "n", "low", "high"],
    )
