"""What a training job measures, as tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from transformers import GPTNeoXForCausalLM

from forgetting.config import Run
from forgetting.evaluation import score
from forgetting.statistics import summarise
from forgetting.tables import FACTS, METRICS, write_table
from forgetting.tokens import Questions
from forgetting.training.loop import History

FACT_COLUMNS = ("exact_match", "first_token_hard", "first_token_soft", "answer_nll")


def evaluate_facts(model: GPTNeoXForCausalLM, questions: Questions, batch_size: int) -> dict[str, torch.Tensor]:
    """The four metrics of every question as tensors, which a saved state can hold."""
    facts = score(model, questions, batch_size)
    return {name: torch.from_numpy(facts[name].to_numpy(copy=True)) for name in FACT_COLUMNS}


def facts_frame(evaluation: dict[str, torch.Tensor], questions: Questions) -> pd.DataFrame:
    """One row a question: person, group, attribute and the metrics of `evaluate_facts`."""
    of_question = {"person": questions.person, "group": questions.group, "attribute": questions.attribute}
    return pd.DataFrame(of_question | {name: values.numpy() for name, values in evaluation.items()})


def write_measurements(
    history: History,
    model: GPTNeoXForCausalLM,
    questions: Questions,
    run: Run,
    stage: str,
    output: Path,
    extra: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> None:
    """Write facts.parquet and metrics.parquet of a fine-tuning stage; `extra` makes further rows from the evaluation metrics."""
    frames = [facts_frame(found, questions).assign(step=int(step)) for step, found in history.evaluations.items()]
    facts = pd.concat(frames, ignore_index=True)
    metrics = [summarise(facts, ["step"]), training_metrics(history, model)]
    if extra is not None:
        metrics.append(extra(metrics[0]))
    write_table(of_run(facts, run, stage), output / "facts.parquet", FACTS)
    write_table(of_run(pd.concat(metrics, ignore_index=True), run, stage), output / "metrics.parquet", METRICS)


def training_metrics(history: History, model: GPTNeoXForCausalLM) -> pd.DataFrame:
    """Loss and learning rate over the steps; time, rate and size at the end. Group "train"."""
    last = history.steps[-1]
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    rows = [(step, "loss", value) for step, value in zip(history.steps, history.losses, strict=True)]
    rows += [(step, "learning_rate", value) for step, value in zip(history.steps, history.learning_rates, strict=True)]
    rows += [(last, "seconds", history.seconds), (last, "tokens_per_second", history.tokens / history.seconds)]
    rows += [(last, "trained_parameters", float(trained))]
    frame = pd.DataFrame(rows, columns=["step", "metric", "value"])
    return frame.assign(group="train", attribute="all", n=1, low=float("nan"), high=float("nan"))


def of_run(frame: pd.DataFrame, run: Run, stage: str) -> pd.DataFrame:
    """The frame with the columns that name the run."""
    return frame.assign(scale=run.scale, seed=run.seed, stage=stage, arm=run.arm)
