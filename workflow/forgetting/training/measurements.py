"""What a training job measures, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch
from transformers import GPTNeoXForCausalLM

from forgetting.evaluation import score
from forgetting.run import Run
from forgetting.statistics import summarise
from forgetting.tables import FACTS, METRICS, write_table
from forgetting.tokens import Questions
from forgetting.training.accounting import usage_metrics
from forgetting.training.loop import History

FACT_COLUMNS = ("exact_match", "first_token_hard", "first_token_soft", "answer_nll")


def evaluate_facts(model: GPTNeoXForCausalLM, questions: Questions, batch_size: int) -> dict[str, torch.Tensor]:
    """The four metrics of every question as tensors, which a saved state can hold."""
    facts = score(model, questions, batch_size)
    return {name: torch.from_numpy(facts[name].to_numpy(copy=True)) for name in FACT_COLUMNS}


def print_accuracy(step: int, evaluation: Mapping[str, torch.Tensor], questions: Questions) -> None:
    """A line for the log: exact match of every group of persons."""
    exact = evaluation["exact_match"].double().numpy()
    means = "  ".join(f"{group} {exact[questions.group == group].mean():.3f}" for group in dict.fromkeys(questions.group))
    print(f"step {step}  exact match  {means}", flush=True)


def facts_frame(evaluation: dict[str, torch.Tensor], questions: Questions) -> pd.DataFrame:
    """One row a question: person, group, attribute and the metrics of `evaluate_facts`."""
    of_question = {"person": questions.person, "group": questions.group, "attribute": questions.attribute}
    return pd.DataFrame(of_question | {name: values.numpy() for name, values in evaluation.items()})


def write_measurements(
    evaluations: Mapping[str, dict[str, torch.Tensor]],
    questions: Questions,
    run: Run,
    stage: str,
    output: Path,
    of_whole_run: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """Write facts.parquet and metrics.parquet of a fine-tuning stage, given what was measured on `questions` by step; `of_whole_run` makes
    the rows that concern the whole run, from the metrics of all evaluations."""
    frames = [facts_frame(found, questions).assign(step=int(step)) for step, found in evaluations.items()]
    facts = pd.concat(frames, ignore_index=True)
    metrics = summarise(facts, ["step"])
    metrics = pd.concat([metrics, of_whole_run(metrics)], ignore_index=True)
    write_table(of_run(facts, run, stage), output / "facts.parquet", FACTS)
    write_table(of_run(metrics, run, stage), output / "metrics.parquet", METRICS)


def training_metrics(history: History, model: GPTNeoXForCausalLM, held: int = 0) -> pd.DataFrame:
    """Loss and learning rate over the steps; size and costs at the end. Group "train".

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
    """METRICS rows of numbers that concern a whole run, by name. Group "train"."""
    frame = pd.DataFrame({"metric": list(values), "value": [float(value) for value in values.values()]})
    return frame.assign(step=step, group="train", attribute="all", n=1, low=float("nan"), high=float("nan"))


def of_run(frame: pd.DataFrame, run: Run, stage: str) -> pd.DataFrame:
    """The frame with the columns that name the run."""
    return frame.assign(scale=run.scale, seed=run.seed, stage=stage, arm=run.arm)
