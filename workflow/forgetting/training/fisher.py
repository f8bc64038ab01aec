"""Diagonal Fisher information of a model on questions (docs/definitions.md): how much each weight matters for their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.training.batches import question_batch
from forgetting.training.step import BatchLoss


def sample_questions(questions: Items, count: int, seed: int) -> Items:
    """`count` of the questions (all, when there are fewer), drawn without replacement, in random order."""
    return questions.select(np.random.default_rng([seed, 8]).permutation(len(questions))[:count])


def diagonal_fisher(
    model: PreTrainedModel, questions: Items, kind: Literal["example", "batch"] = "example", batch_size: int = 1
) -> dict[str, Tensor]:
    """Mean squared gradient of each weight that requires one, by the name of its parameter, in the weights' own shapes.

    example: of the log-likelihood (nats) of one answer with its end token, mean over questions; `batch_size` plays no part.
    batch: of the loss that training uses, the mean over all answer tokens of `batch_size` questions, mean over batches, as in the
    reference; gradients that cancel within a batch are lost, so it depends on the batch size (docs/definitions.md).

    In evaluation mode and float32, at the answers in the data. Leaves the weights, their `grad` and the mode of the model as they were.
    """
    rows = torch.arange(len(questions)).split(1 if kind == "example" else batch_size)
    weights = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    total = [torch.zeros_like(parameter) for parameter in weights.values()]
    training = model.training
    model.eval()
    loss = BatchLoss(model)
    for chosen in rows:
        batch = question_batch(questions, chosen.numpy())
        if kind == "example":
            batch = replace(batch, share=torch.ones(len(batch.row)))
        gradients = torch.autograd.grad(loss(batch), list(weights.values()))
        for mean, gradient in zip(total, gradients, strict=True):
            mean.addcmul_(gradient, gradient, value=1 / len(rows))
    model.train(training)
    return dict(zip(weights, total, strict=True))


def fisher_mean(fisher: Mapping[str, Tensor]) -> float:
    """Mean over all weights together."""
    total = sum(float(each.sum(dtype=torch.float64)) for each in fisher.values())
    return total / sum(each.numel() for each in fisher.values())


def normalised(fisher: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`fisher` with mean 1 over all weights together. Raises StudyError when it is zero or not finite."""
    mean = fisher_mean(fisher)
    if not 0 < mean < float("inf"):
        raise StudyError(f"the mean Fisher information is {mean}, so it cannot be normalised: the model before Task 1 is degenerate")
    return {name: each / mean for name, each in fisher.items()}
