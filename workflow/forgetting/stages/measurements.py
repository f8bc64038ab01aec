"""What a training job measures, as tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from forgetting.config.jobs.base import Job
from forgetting.data.items import Items
from forgetting.evaluation.scorers import Scorer
from forgetting.intervals import summarise
from forgetting.schemas.facts import FACTS
from forgetting.schemas.metrics import METRICS
from forgetting.tables import write_table
from forgetting.training.accounting import usage_metrics
from forgetting.training.loop import History

ASK_ALL_FROM = 0.75
"""Share of the early-stop accuracy from which on an evaluation asks about all units of the task that is learned."""


class Exam:
    """What a run is asked while it learns a task: `few`, the first units of each split; and, once these have learned most of the task,
    all other units of it as well.

    Whether the task was learned is thus decided on every unit that it trains on, not on a subset that stays the same for all arms, at the
    cost of a few evaluations a run. Each evaluation decides for itself, so a run that was interrupted asks the same.

    In a sequence of tasks, `few` has nothing of the later ones; and before the first step and after the last one all units of all tasks
    are asked, which makes a row of the matrix R (docs/definitions.md).
    """

    def __init__(
        self,
        scorer: Scorer,
        questions: Items,
        units_per_split: int | None,
        early_stop_accuracy: float,
        batch_size: int,
        task: str = "task1",
        earlier: Collection[str] = (),
        later: Collection[str] = (),
    ) -> None:
        self.scorer, self.task = scorer, task
        self.few = questions.select(~np.isin(questions.task, list(later))).first_units(units_per_split)
        left = ~np.isin(questions.unit, self.few.unit)
        self.others = questions.select((questions.task == task) & left)
        self.ends = questions.select(np.isin(questions.task, [*earlier, *later]) & left)
        self.in_sequence = bool(earlier or later)
        self.questions = self.few.joined_with(self.others).joined_with(self.ends)
        """In the order of the facts: an evaluation holds those of `few`, of these and `others`, or all."""
        self.early_stop_accuracy, self.batch_size = early_stop_accuracy, batch_size

    def facts(self, model: PreTrainedModel, at_an_end: bool) -> dict[str, torch.Tensor]:
        """at_an_end: whether this is the first or the last evaluation of the run."""
        facts = evaluate_facts(self.scorer, model, self.few, self.batch_size)
        asked = [facts]
        whole = at_an_end and self.in_sequence
        if len(self.others) and (whole or self._accuracy(facts) >= ASK_ALL_FROM * self.early_stop_accuracy):
            asked.append(evaluate_facts(self.scorer, model, self.others, self.batch_size))
        if len(self.ends) and whole:
            asked.append(evaluate_facts(self.scorer, model, self.ends, self.batch_size))
        return {name: torch.cat([each[name] for each in asked]) for name in facts} if len(asked) > 1 else facts

    def learned(self, facts: Mapping[str, torch.Tensor]) -> bool:
        """Whether the task has reached the early-stop accuracy."""
        return self._accuracy(facts) >= self.early_stop_accuracy

    def _accuracy(self, facts: Mapping[str, torch.Tensor]) -> float:
        right = facts[self.scorer.measures.accuracy].double().numpy()
        return float(right[self.questions.task[: len(right)] == self.task].mean())


def evaluate_facts(scorer: Scorer, model: PreTrainedModel, questions: Items, batch_size: int) -> dict[str, torch.Tensor]:
    """What the scorer measures of every question, as tensors, which a saved state can hold."""
    facts = scorer(model, questions, batch_size)
    return {name: torch.from_numpy(facts[name].to_numpy(copy=True)) for name in scorer.measures.columns}


def print_accuracy(step: int, evaluation: Mapping[str, torch.Tensor], questions: Items, scorer: Scorer) -> None:
    """A line for the log: the accuracy of every split. `evaluation`: of the first so many of the questions."""
    name = scorer.measures.accuracy
    right = evaluation[name].double().numpy()
    splits = questions.split[: len(right)]
    means = "  ".join(f"{split} {right[splits == split].mean():.3f}" for split in dict.fromkeys(splits))
    print(f"step {step}  {name.replace('_', ' ')}  {means}", flush=True)


def facts_frame(evaluation: dict[str, torch.Tensor], questions: Items) -> pd.DataFrame:
    """One row a question asked, the first so many of `questions`: unit, split, kind and the metrics of `evaluate_facts`."""
    measured = {name: values.numpy() for name, values in evaluation.items()}
    asked = slice(len(next(iter(measured.values()))))
    of_question = {"unit": questions.unit[asked], "split": questions.split[asked], "kind": questions.kind[asked]}
    return pd.DataFrame(of_question | measured)


def write_measurements(
    evaluations: Mapping[str, dict[str, torch.Tensor]],
    questions: Items,
    scorer: Scorer,
    job: Job,
    output: Path,
    of_whole_run: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """Write facts.parquet and metrics.parquet of a fine-tuning stage, given by step what was measured on the first so many of `questions`;
    `of_whole_run` makes the rows that concern the whole run, from the metrics of all evaluations."""
    frames = [facts_frame(found, questions).assign(step=int(step)) for step, found in evaluations.items()]
    facts = pd.concat(frames, ignore_index=True)
    metrics = summarise(facts, ["step"], scorer.measures)
    metrics = pd.concat([metrics, of_whole_run(metrics)], ignore_index=True)
    write_table(of_run(facts, job), output / "facts.parquet", FACTS)
    write_table(of_run(metrics, job), output / "metrics.parquet", METRICS)


def training_metrics(history: History, model: PreTrainedModel, held: int = 0) -> pd.DataFrame:
    """Loss and learning rate over the steps; size and costs at the end. Split "train".

    trained_parameters: how many can move, which is `held` fewer than are in the optimizer.
    """
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) - held
    frames = [
        run_metrics(step, {"loss": loss, "learning_rate": rate})
        for step, loss, rate in zip(history.steps, history.losses, history.learning_rates, strict=True)
    ]
    whole = {"trained_parameters": trained} | usage_metrics([(history.seconds, history.tokens, history.usage)])
    return pd.concat([*frames, run_metrics(history.steps[-1], whole)], ignore_index=True)


def run_metrics(step: int, values: Mapping[str, float]) -> pd.DataFrame:
    """METRICS rows of numbers that concern a whole run, by name. Split "train"."""
    frame = pd.DataFrame({"metric": list(values), "value": [float(value) for value in values.values()]})
    return frame.assign(step=step, split="train", kind="all", n=1, low=float("nan"), high=float("nan"))


def of_run(frame: pd.DataFrame, job: Job) -> pd.DataFrame:
    """The frame with the columns that name the run."""
    return frame.assign(scale=job.scale, seed=job.seed, stage=job.stage, arm=job.arm)
