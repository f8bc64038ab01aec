"""Batches as a function of the step alone, so that a resumed job sees the very same ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from forgetting.data.items import Items, answer_positions, pad
from forgetting.data.ragged import Ragged

TRAINING_ORDER, RECOVERY_ORDER = 2, 14
"""Streams of random orders: recovery has its own, or it would be the beginning of Task 0 again, batch for batch."""


@dataclass(frozen=True)
class Batch:
    """ids (B, T); row, position (m,): the m tokens whose outputs predict `ids[row, position + 1]`; documents (B, T) or None: the
    document that each token belongs to, where attention must not cross documents; share (m,) or None: the weight of each prediction in
    the loss, where it is not their mean."""

    ids: Tensor
    row: Tensor
    position: Tensor
    documents: Tensor | None = None
    share: Tensor | None = None


class Batches(ABC):
    """`batch(step)` for step = 0, 1, ...: a pure function of the step."""

    @abstractmethod
    def batch(self, step: int) -> Batch: ...


class EpochOrder:
    """Which rows make up the batch of a step when every epoch is a new random order; batches run on over the end of an epoch."""

    def __init__(self, rows: int, batch_size: int, seed: int, stream: int = TRAINING_ORDER) -> None:
        self.rows, self.batch_size, self.seed, self.stream = rows, batch_size, seed, stream
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def _draw(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, self.stream, epoch]).permutation(self.rows)

    def at(self, step: int) -> np.ndarray:
        """(batch_size,) row numbers."""
        return self.between(step * self.batch_size, (step + 1) * self.batch_size)

    def between(self, start: int, stop: int) -> np.ndarray:
        """Row numbers of the draws `start` ... `stop - 1`, counted over all epochs."""
        draws = np.arange(start, stop)
        epochs = draws // self.rows
        return np.array([self._permutation(epoch)[draw % self.rows] for epoch, draw in zip(epochs, draws, strict=True)], dtype=np.int64)


class QuestionBatches(Batches):
    """Questions in a new random order every epoch, with the loss on answer and end token."""

    def __init__(self, questions: Items, batch_size: int, seed: int, stream: int = TRAINING_ORDER) -> None:
        self.questions = questions
        self.order = EpochOrder(len(questions), batch_size, seed, stream)

    def batch(self, step: int) -> Batch:
        return question_batch(self.questions, self.rows_at(step))

    def rows_at(self, step: int) -> np.ndarray:
        """(batch_size,) which questions the batch of a step holds."""
        return self.order.at(step)


def question_batch(questions: Items, rows: np.ndarray) -> Batch:
    """The questions at `rows`, cut to the longest of them."""
    index = torch.from_numpy(rows)
    prompt, answer = questions.prompt_length[index], questions.answer_length[index]
    row, position = answer_positions(prompt, answer)
    return Batch(questions.ids[index, : int((prompt + answer).max())], row, position)


class TextBatches(Batches):
    """Whole texts in a new random order every epoch, one a row, with the loss on all tokens."""

    def __init__(self, rows: Ragged, batch_size: int, seed: int, stream: int = TRAINING_ORDER) -> None:
        self.rows = rows
        self.order = EpochOrder(len(rows), batch_size, seed, stream)

    def batch(self, step: int) -> Batch:
        return text_batch(self.rows, self.order.at(step))


def text_batch(rows: Ragged, numbers: np.ndarray) -> Batch:
    """The texts `numbers` (m,) of `rows`, padded to the longest of them; every token but the first is predicted."""
    ids = pad(rows, numbers)
    predicts = torch.arange(ids.shape[1] - 1) < torch.from_numpy(rows.lengths[numbers] - 1)[:, None]
    row, position = predicts.nonzero(as_tuple=True)
    return Batch(ids, row, position)


def epoch_steps(questions: int, batch_size: int, epochs: float) -> int:
    """Optimizer steps in `epochs` passes over `questions`, rounded up."""
    return int(np.ceil(round(epochs * questions / batch_size, 6)))
