"""Experience replay: questions of some stored units of earlier tasks are mixed into the new one."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

import numpy as np

from forgetting.data.items import Items
from forgetting.methods.base import Method, Setting
from forgetting.methods.replay import Knobs
from forgetting.training.batches import Batch, Batches, EpochOrder, QuestionBatches, question_batch

BYTES_PER_TOKEN = 4


class Replay(Method):
    """Stores the questions of `share` of the Task 0 training units, and in a sequence of `share` of the units of each task since.

    `mix: half` keeps the size of a batch, half of which is stored questions, as in the reference: a run needs twice the steps to see as
    many Task 1 questions. Otherwise each batch holds the same Task 1 questions as that of every other arm and stored ones beside them:
    `mix: batch` as many again, `mix: ratio` as many as keep the proportion of store to Task 1.
    """

    arm: Knobs

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        stored = (task.of_units(stored_units(task, self.arm.share, setting.seed)) for task in setting.former)
        self.store = reduce(Items.joined_with, stored)
        self.stored_bytes = question_bytes(self.store)

    def batches(self) -> Batches:
        task1, proportion = self.setting.task1, Fraction(1)
        if self.arm.mix == "half":
            task1 = QuestionBatches(task1.questions, task1.order.batch_size // 2, self.setting.seed)
        elif self.arm.mix == "ratio":
            proportion = Fraction(len(self.store), len(task1.questions))
        return MixedBatches(task1, self.store, proportion, self.setting.seed)


def stored_units(questions: Items, share: float, seed: int) -> np.ndarray:
    """A random `share` of the units of one task (rounded, at least one), ascending. A larger share contains every smaller one, and before
    every later task they are the same."""
    units = np.unique(questions.unit)
    count = max(1, round(share * len(units)))
    return np.sort(np.random.default_rng([seed, 4]).permutation(units)[:count])


def question_bytes(questions: Items) -> int:
    """What it takes to store the tokens of the questions and their answers."""
    return BYTES_PER_TOKEN * int((questions.prompt_length + questions.answer_length).sum())


class MixedBatches(Batches):
    """Task 1 batches with `proportion` times as many other questions added; a fraction is made up for over the steps."""

    def __init__(self, task1: QuestionBatches, added: Items, proportion: Fraction, seed: int) -> None:
        self.task1, self.per_step = task1, proportion * task1.order.batch_size
        self.both = task1.questions.joined_with(added)
        self.order = EpochOrder(len(added), 1, seed + 1)

    @property
    def questions(self) -> Items:
        return self.both

    def batch(self, step: int) -> Batch:
        return question_batch(self.both, self.rows_at(step))

    def rows_at(self, step: int) -> np.ndarray:
        """Rows of `both`: those of the Task 1 batch, then added ones."""
        added = self.order.between(int(step * self.per_step), int((step + 1) * self.per_step))
        return np.concatenate([self.task1.rows_at(step), len(self.task1.questions) + added])


METHOD = Replay
