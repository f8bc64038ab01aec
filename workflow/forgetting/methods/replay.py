"""Experience replay: questions of some stored Task 0 persons are mixed into Task 1."""

from __future__ import annotations

import numpy as np

from forgetting.methods.base import Method
from forgetting.tokens import Questions
from forgetting.training.batches import Batch, Batches, EpochOrder, QuestionBatches, question_batch


class Replay(Method):
    """Stores the questions of `share` of the Task 0 training persons.

    Each batch holds the same Task 1 questions as that of every other arm, and stored questions beside them: `mix: batch` as many
    again (half of the batch, as in the reference), `mix: ratio` as many as keep the proportion of store to Task 1.
    """

    def batches(self, task1: QuestionBatches, task0_train: Questions) -> Batches:
        store = task0_train.of_persons(stored_persons(task0_train, self.share, self.seed))
        size = task1.order.batch_size
        per_step = size if self.arm.mix == "batch" else size * len(store) / len(task1.questions)
        return ReplayBatches(task1, store, per_step, self.seed)

    @property
    def share(self) -> float:
        assert self.arm.share is not None
        return self.arm.share


def stored_persons(task0_train: Questions, share: float, seed: int) -> np.ndarray:
    """A random `share` of the persons (rounded, at least one), ascending. A larger share contains every smaller one."""
    persons = np.unique(task0_train.person)
    count = max(1, round(share * len(persons)))
    return np.sort(np.random.default_rng([seed, 4]).permutation(persons)[:count])


class ReplayBatches(Batches):
    """Task 1 batches with `per_step` stored questions added; a fraction is made up for over the steps."""

    def __init__(self, task1: QuestionBatches, store: Questions, per_step: float, seed: int) -> None:
        self.task1, self.store, self.per_step = task1, store, per_step
        self.both = task1.questions.joined_with(store)
        self.order = EpochOrder(len(store), 1, seed + 1)

    def batch(self, step: int) -> Batch:
        return question_batch(self.both, self.rows_at(step))

    def rows_at(self, step: int) -> np.ndarray:
        """Rows of `both`: those of the Task 1 batch, then stored ones."""
        stored = self.order.between(int(step * self.per_step), int((step + 1) * self.per_step))
        return np.concatenate([self.task1.rows_at(step), len(self.task1.questions) + stored])
