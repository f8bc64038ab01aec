"""Task 1 under one method (science §2, §6)."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pandas as pd
import torch

from forgetting.config.job import Run
from forgetting.config.knobs import parse_arm
from forgetting.config.sections import MEASURED_GROUPS
from forgetting.config.steps import arm_steps, arm_training, checkpoint_steps, dense_steps, evaluation_steps
from forgetting.data.items import Questions
from forgetting.methods.base import Setting, build_method
from forgetting.model.checkpoints import WEIGHTS, load_checkpoint, pick_device, publish, save_checkpoint
from forgetting.model.difference import Base
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.schemas.people import PEOPLE
from forgetting.stages.measurements import Task1Exam, print_accuracy, run_metrics, training_metrics, write_measurements
from forgetting.tables import read_table
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.moments import MOMENTS
from forgetting.training.resume import Scratch


def finetune_task1(run: Run, data: Path, start: Path, scratch_folder: Path, output: Path) -> None:
    """Train on Task 1 by the arm's method; writes checkpoints/step-*/, checkpoints/matched/, metrics.parquet and facts.parquet.

    `matched` holds the weights at the first evaluation at which Task 1 exact match is at least `early_stop_accuracy`, the end when
    there is none: as an early stop changes nothing before it, these are the weights of the early-stopped arm.
    """
    arm = parse_arm(run.need("method"))
    config = arm_training(run.need("task1"), arm)
    questions = Questions.load(data / "qa.parquet")
    task1 = QuestionBatches(questions.of_groups("task1"), config.batch_size, run.seed)
    steps = arm_steps(config, arm)
    keep = checkpoint_steps(config, steps, run.every_checkpoint)
    as_differences = dense_steps(config, keep) if run.storage.early_checkpoints == "difference" else frozenset()
    base, precision = Base(start, output / "checkpoints" / "step"), run.storage.checkpoint_precision

    model = load_checkpoint(start).to(pick_device())
    carried = start / MOMENTS if arm.carried_state else None
    scratch = Scratch(scratch_folder, run, [data / "qa.parquet", start / WEIGHTS, *([carried] if carried else [])])
    started = time.perf_counter()
    method = build_method(arm)
    method.before_task(
        Setting(
            model=model,
            task0_train=questions.of_groups("task0_train"),
            task1=task1,
            training=config,
            precision=run.precision,
            seed=run.seed,
            tokenizer=load_tokenizer(data / "tokenizer"),
            held_out=held_out_names(data),
        )
    )
    preparation = time.perf_counter() - started
    checkpoints, learned = scratch.folder / "checkpoints", scratch.folder / "learned"
    asked = questions.of_groups(*MEASURED_GROUPS)
    exam = Task1Exam(asked, run.evaluation.persons_per_group, config.early_stop_accuracy, run.evaluation.batch_size)

    def evaluate(step: int) -> dict[str, torch.Tensor]:
        name = step_name(step)
        if step in keep:
            save_checkpoint(model, checkpoints / name, precision, base if step in as_differences else None)
        facts = exam.facts(model)
        print_accuracy(step, facts, exam.questions)
        # A killed job may have left this step's, from a stretch that is now trained again, and on a GPU not quite alike.
        shutil.rmtree(learned / name, ignore_errors=True)
        if exam.learned(facts) and not any(folder.name < name for folder in learned.glob("step-??????")):
            save_checkpoint(model, learned / name, precision)
        return facts

    plan = Plan(
        steps,
        method.batches(),
        config.optimizer,
        config.schedule,
        frozenset(evaluation_steps(config, steps)),
        evaluate,
        run.precision,
        method,
        schedule_steps=config.steps,
        carried=carried,
    )
    history = train(model, plan, scratch)
    cost = {
        "preparation_seconds": preparation,
        "prepared_rows": method.prepared_rows,
        "trained_rows": history.rows,
        "stored_bytes": method.stored_bytes,
    }
    of_run = pd.concat([training_metrics(history, model, method.held_weights), run_metrics(steps, cost | method.after_task())])
    write_measurements(
        history.evaluations,
        exam.questions,
        run,
        "task1",
        output,
        lambda metrics: pd.concat([early_stop_metric(metrics, config.early_stop_accuracy), of_run]),
    )
    shutil.rmtree(output / "checkpoints", ignore_errors=True)  # an older config may have left other steps there
    for folder in checkpoints.iterdir():
        publish(folder, output / "checkpoints" / folder.name)
    first = min(learned.glob("step-??????"), default=checkpoints / step_name(steps))
    publish(first, output / "checkpoints" / "matched")
    scratch.remove()


def step_name(step: int) -> str:
    """The folder of the checkpoint of a step."""
    return f"step-{step:06d}"


def held_out_names(data: Path) -> frozenset[str]:
    """Full names of all persons but those of `task0_train`."""
    people = read_table(data / "people.parquet", PEOPLE, ["group", "full_name"])
    return frozenset(people.loc[people["group"] != "task0_train", "full_name"])


def early_stop_metric(metrics: pd.DataFrame, accuracy: float) -> pd.DataFrame:
    """One row: the first step at which Task 1 exact match is at least `accuracy`, NaN when it never is; n: how many questions were asked.

    From `ASK_ALL_FROM` of that accuracy on these are the questions of all persons of Task 1.
    """
    rows = metrics[(metrics["group"] == "task1") & (metrics["attribute"] == "all") & (metrics["metric"] == "exact_match")]
    rows = rows.sort_values("step")
    reached = rows[rows["value"] >= accuracy]
    value = float(reached["step"].iloc[0]) if len(reached) else float("nan")
    asked = (reached if len(reached) else rows.tail(1))["n"].iloc[0]
    return pd.DataFrame(
        [(int(rows["step"].max()), "task1", "all", "early_stop_step", value, asked, float("nan"), float("nan"))],
        columns=["step", "group", "attribute", "metric", "value", "n", "low", "high"],
    )
