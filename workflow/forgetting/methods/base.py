"""What a Task 1 method can do; plain sequential fine-tuning does none of it."""

from __future__ import annotations

from forgetting.config import Arm
from forgetting.tokens import Questions
from forgetting.training.batches import Batches, QuestionBatches


class Method:
    """Hooks around the shared training loop. Every method sees the same Task 1 questions in the same order."""

    def __init__(self, arm: Arm, seed: int) -> None:
        self.arm, self.seed = arm, seed

    def trainable(self, name: str) -> bool:
        """Whether the optimizer owns the parameter called `name`; the others stay bit-identical."""
        return True

    def batches(self, task1: QuestionBatches, task0_train: Questions) -> Batches:
        """What is trained on, given the batches of Task 1 and the questions of Task 0 that may be stored."""
        return task1


class Sequential(Method):
    """Cross-entropy on Task 1, nothing else (`seq`)."""
