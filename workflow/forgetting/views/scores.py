"""Answers scored under many weights of one model: what the loss landscape and the interpolations evaluate at every point."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear
from transformers import PreTrainedModel

from forgetting.data.items import Items, answer_positions
from forgetting.intervals import Floats, mean_and_error
from forgetting.model.anatomy import output_weight, uniform_name
from forgetting.training.loss import ROWS_AT_ONCE

QUESTIONS_AT_ONCE = 256


class Weights(Protocol):
    """The weights of a model by their uniform name; with `rows`, only those rows of the matrix."""

    def __call__(self, name: str, rows: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Scores:
    """Of each question (last axis, Q) at each point (the axes before it): nats of its whole answer, and whether all of it is right."""

    nats: Floats
    exact: Floats
    questions: Items

    def loss(self, split: str) -> tuple[Floats, Floats]:
        """Nats per answer token over the questions of a split at each point, and the standard error of it."""
        return self._mean(self.nats, self.questions.answer_length.numpy(), split)

    def exact_match(self, split: str) -> tuple[Floats, Floats]:
        """Share of questions of a split with an exact answer at each point, and the standard error of it."""
        return self._mean(self.exact, np.ones(len(self.questions)), split)

    def _mean(self, values: Floats, weights: NDArray, split: str) -> tuple[Floats, Floats]:
        rows = self.questions.split == split
        return mean_and_error(values[..., rows], weights[rows], self.questions.unit[rows])

    def combined(self, weights: Floats) -> Scores:
        """The scores summed over the first axis of points with these weights, so that its mean has an error too."""
        return Scores(np.tensordot(weights, self.nats, 1), np.tensordot(weights, self.exact, 1), self.questions)


class AnswerScorer(Protocol):
    """Scores fixed questions with the architecture of a model and any weights."""

    questions: Items

    def __call__(self, weights: Weights) -> tuple[Floats, Floats]:
        """Of each question (Q,): summed nats of its answer tokens, and 1 where every answer token is the most likely one."""
        ...


class PlainScorer:
    """By plain forward passes, of a model of any family; its own weights are not used."""

    def __init__(self, model: PreTrainedModel, questions: Items, device: torch.device) -> None:
        self.questions, self.model, self.device = questions, model, device
        names = {id(parameter): uniform_name(name) for name, parameter in model.named_parameters()}
        self.names = {name: names[id(parameter)] for name, parameter in model.base_model.named_parameters()}
        self.output = names[id(output_weight(model))]
        self.buffers = {name: buffer.to(device) for name, buffer in model.base_model.named_buffers()}
        self.of_thread = threading.local()

    @torch.inference_mode()
    def __call__(self, weights: Weights) -> tuple[Floats, Floats]:
        given = self.buffers | {name: weights(uniform) for name, uniform in self.names.items()}
        questions, output, model = self.questions, weights(self.output), self._model()
        length = questions.prompt_length + questions.answer_length
        nats, exact = np.empty(len(questions)), np.empty(len(questions))
        for rows in torch.argsort(length, stable=True).split(QUESTIONS_AT_ONCE):
            ids = questions.ids[rows, : int(length[rows].max())].to(self.device)
            question, place = answer_positions(questions.prompt_length[rows].to(self.device), questions.answer_length[rows].to(self.device))
            inputs = {"input_ids": ids, "use_cache": False}
            hidden = functional_call(model, given, kwargs=inputs).last_hidden_state[question, place]
            found = score_states(hidden, output, ids[question, place + 1], question, len(rows))
            nats[rows], exact[rows] = (values.double().cpu().numpy() for values in found)
        return nats, exact

    def _model(self) -> nn.Module:
        """A model for this thread, as the weights of a point take the place of its own; all have their own in common."""
        if not hasattr(self.of_thread, "model"):
            base = self.model.base_model
            self.of_thread.model = copy.deepcopy(base, {id(parameter): parameter for parameter in base.parameters()})
        return self.of_thread.model


def score_states(states: Tensor, output: Tensor, target: Tensor, question: Tensor, questions: int) -> tuple[Tensor, Tensor]:
    """Nats (questions,) of the whole answers, float64, and whether all their tokens are the most likely ones.

    states (A, d), target, question (A,): the last state where an answer token is predicted, its id and its question. output (V, d).
    """
    nats, wrong = states.new_zeros(2, questions, dtype=torch.float64)
    for rows in torch.arange(len(states), device=states.device).split(ROWS_AT_ONCE):
        logits = linear(states[rows], output)
        right = logits.gather(1, target[rows, None])[:, 0]
        nats.index_add_(0, question[rows], (logits.logsumexp(1) - right).double())
        wrong.index_add_(0, question[rows], (right < logits.amax(1)).double())
    return nats, wrong == 0


@contextmanager
def one_thread_each(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Threads that each compute one point: as many as torch may use on the CPU, one on a GPU.

    Torch releases the interpreter while it computes, and whole points in parallel waste less than products that are split. It also makes
    the results independent of the number of threads.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads if device.type == "cpu" else 1, initializer=lambda: torch.set_num_threads(1)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(threads)  # part of the setting is global
