"""Training on both tasks together, in proportion. Not an upper bound: replay of a smaller store may see more old questions."""

from __future__ import annotations

from fractions import Fraction

from forgetting.methods.base import Method, Setting
from forgetting.methods.replay.method import MixedBatches, question_bytes
from forgetting.training.batches import Batches


class Joint(Method):
    """Every training question of Task 0 (in a sequence also of each task since) beside those of Task 1, in the proportion of the two, from
    theta* like every other arm.

    Where Task 1 is the larger, fewer old questions come a step than new ones; `replay` with `share: 1` and `mix: batch` has as many.
    """

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        self.stored_bytes = question_bytes(setting.old)

    def batches(self) -> Batches:
        old, task1 = self.setting.old, self.setting.task1
        return MixedBatches(task1, old, Fraction(len(old), len(task1.questions)), self.setting.seed)


METHOD = Joint
