"""Training on both tasks together: the upper bound that no method without all of Task 0 is expected to pass."""

from __future__ import annotations

from fractions import Fraction

from forgetting.methods.base import Method, Setting
from forgetting.methods.replay import MixedBatches, question_bytes
from forgetting.training.batches import Batches


class Joint(Method):
    """Every question of Task 0 training beside those of Task 1, in the proportion of the two, from theta* like every other arm."""

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        self.stored_bytes = question_bytes(setting.task0_train)

    def batches(self) -> Batches:
        task0, task1 = self.setting.task0_train, self.setting.task1
        return MixedBatches(task1, task0, Fraction(len(task0), len(task1.questions)), self.setting.seed)


METHOD = Joint
