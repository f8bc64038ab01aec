"""What two checkpoints say at the tokens of right answers: states, and the two spaces in which their change is split and undone.

Everything is teacher-forced: the state that predicts an answer token has read the question and the right tokens before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.data.items import Items, answer_positions
from forgetting.data.points import EARLY, END, MATCHED
from forgetting.model.anatomy import Anatomy, output_weight
from forgetting.views.inputs import Checkpoints

GROUPINGS = ("kind_position", "one_shift")
ROWS_AT_ONCE = 1024
"""Answer tokens whose logits are in memory at a time."""


class Point(NamedTuple):
    """A point of Task 1 that is compared with the model after Task 0, see `data/points.py`."""

    name: str
    step: int
    folder: Path


def compared_points(checkpoints: Checkpoints, matched: float) -> list[Point]:
    """The points early, matched (at step `matched`; absent when that is NaN) and end of a run."""
    early, end = (Point(name, step, checkpoints.folders[step]) for name, step in ((EARLY, checkpoints.early), (END, checkpoints.last)))
    if np.isnan(matched):
        return [early, end]
    return [early, Point(MATCHED, int(matched), end.folder.with_name(MATCHED)), end]


@dataclass(frozen=True)
class AnswerTokens:
    """The R answer tokens (end tokens included) of n questions, question by question.

    question (R,): row of the question; position (R,): place within the answer, from 0; target (R,): the right token.
    """

    questions: Items
    question: Tensor
    position: Tensor
    target: Tensor

    @classmethod
    def of(cls, questions: Items) -> Self:
        question, place = answer_positions(questions.prompt_length, questions.answer_length)
        return cls(questions, question, place + 1 - questions.prompt_length[question], questions.ids[question, place + 1])

    @property
    def unit(self) -> NDArray[np.int64]:
        """(R,) numbers 0, 1, ... of the units asked, in ascending order."""
        return np.unique(self.questions.unit, return_inverse=True)[1][self.question.numpy()]

    def groups(self, grouping: str) -> Tensor:
        """(R,) number of the group in which a token's change is averaged: its kind and position, or one group for all tokens."""
        if grouping == "one_shift":
            return torch.zeros_like(self.position)
        kinds = pd.Index(self.questions.kinds)
        return self.position * len(kinds) + torch.from_numpy(kinds.get_indexer(self.questions.kind))[self.question]

    def question_right(self, right: Tensor) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """From (R,) right tokens: (n,) questions of which every token is right, and (n,) of which the first is."""
        wrong = torch.zeros(len(self.questions)).index_add_(0, self.question, (~right).float())
        return (wrong == 0).numpy(), right[self.position == 0].numpy()


class Head(NamedTuple):
    """What turns a residual stream into logits: the final norm and the output embedding (V, d).

    The mean over the vocabulary is subtracted from the embedding. So logits have mean 0 over the vocabulary: softmax does not see a
    constant, and neither shall any norm of a change of logits.
    """

    norm: nn.Module
    embedding: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel) -> Self:
        weight = output_weight(model).detach()
        return cls(Anatomy(model.config).final_norm(model), weight - weight.mean(0))

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """(R, V) centred logits of (R, d) states before the final norm."""
        return self.norm(states) @ self.embedding.T


@torch.inference_mode()
def answer_states(model: PreTrainedModel, tokens: AnswerTokens, batch_size: int) -> Tensor:
    """Residual stream before the final norm where each answer token is predicted: (R, d), on the model's device."""
    questions, device = tokens.questions, next(model.parameters()).device
    length = questions.prompt_length + questions.answer_length
    first_row = questions.answer_length.cumsum(0) - questions.answer_length
    states = torch.empty(len(tokens.target), model.config.hidden_size, dtype=model.dtype, device=device)
    captured: list[Tensor] = []
    handle = Anatomy(model.config).final_norm(model).register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    try:
        for rows in torch.argsort(length, stable=True).split(batch_size):
            model.base_model(input_ids=questions.ids[rows, : int(length[rows].max())].to(device), use_cache=False)
            question, place = answer_positions(questions.prompt_length[rows], questions.answer_length[rows])
            within = place + 1 - questions.prompt_length[rows][question]
            states[(first_row[rows][question] + within).to(device)] = captured.pop()[question.to(device), place.to(device)]
    finally:
        handle.remove()
    return states


def leading(logits: Tensor, target: Tensor) -> Tensor:
    """(R,) whether the target has the highest of the logits (R, V), on the CPU. (Much faster here than an argmax.)"""
    return (logits.gather(1, target.to(logits.device)[:, None])[:, 0] == logits.amax(1)).cpu()


class Space(Protocol):
    """Coordinates (R, D) of what a checkpoint says at answer tokens, in which a change is a difference and a mean makes sense."""

    name: str

    def coordinates(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """From the (R, d) states at theta* and at the checkpoint: the coordinates of both."""
        ...

    def decode(self, coordinates: Tensor) -> Tensor:
        """Logits (R, V) up to a constant a row."""
        ...

    def isometric(self, changes: Tensor) -> Tensor:
        """(R, D) float64 vectors with the inner products that the changes have in this space."""
        ...

    def corrected(self, after: Tensor, shifts: Tensor) -> Iterator[Tensor]:
        """For each of `shifts` (C, D), the logits (R, V) of `after` (R, D) with it subtracted."""
        ...


class LogitSpace:
    """Logits, centred over the vocabulary, without ever holding those of all tokens.

    With final states n, n' (after the norm) and centred embeddings W, W' of theta* and the checkpoint, the change of the logits
    W'n' - Wn is W'(n' - n) + (W' - W)n: linear in the 2d numbers (n' - n, n). All means and inner products are taken there.
    """

    name = "logits"

    def __init__(self, before: Head, after: Head) -> None:
        self._norms = before.norm, after.norm
        self._joint = torch.cat([after.embedding, after.embedding - before.embedding], dim=1)
        self._root = torch.linalg.qr(self._joint.double(), mode="r").R

    @torch.inference_mode()
    def coordinates(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        normed, normed_after = self._norms[0](before), self._norms[1](after)
        return torch.cat([normed, -normed], dim=1), torch.cat([normed_after, torch.zeros_like(normed)], dim=1)

    def decode(self, coordinates: Tensor) -> Tensor:
        return coordinates @ self._joint.T

    def isometric(self, changes: Tensor) -> Tensor:
        return changes.double() @ self._root.T

    @torch.inference_mode()
    def among(self, changes: Tensor, candidates: Tensor) -> Tensor:
        """(R, C) float64 changes of the logits of some tokens (C,), centred over them, as a choice between these alone sees them."""
        logits = changes.double() @ self._joint[candidates.to(self._joint.device)].double().T
        return logits - logits.mean(1, keepdim=True)

    def corrected(self, after: Tensor, shifts: Tensor) -> Iterator[Tensor]:
        logits = self.decode(after)
        for shift in self.decode(shifts):
            yield logits - shift


class ResidualSpace:
    """The residual stream before the final norm (d numbers), read by the checkpoint's own norm and output embedding."""

    name = "residual_stream"

    def __init__(self, after: Head) -> None:
        self._head = after

    def coordinates(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        return before, after

    def decode(self, coordinates: Tensor) -> Tensor:
        return self._head.logits(coordinates)

    def isometric(self, changes: Tensor) -> Tensor:
        return changes.double()

    def corrected(self, after: Tensor, shifts: Tensor) -> Iterator[Tensor]:
        for shift in shifts:
            yield self.decode(after - shift)


@dataclass(frozen=True)
class Change:
    """The same R answer tokens at theta* and at a checkpoint, as (R, D) coordinates of a space."""

    tokens: AnswerTokens
    before: Tensor
    after: Tensor

    @property
    def difference(self) -> Tensor:
        return self.after - self.before
