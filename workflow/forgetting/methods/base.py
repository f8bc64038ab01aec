"""What a method of learning Task 1, or a later task, can do. Plain sequential fine-tuning does none of it.

The method `name` is the folder `methods/name`: its knobs in `__init__.py` (no torch), itself in `method.py`, which ends in `METHOD`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedModel

from forgetting.config.knobs import Arm
from forgetting.config.sections import Task1
from forgetting.data.items import Items
from forgetting.model.checkpoints import load_checkpoint
from forgetting.training.batches import Batches, QuestionBatches
from forgetting.training.step import Hooks


@dataclass(frozen=True)
class Setting:
    """What there is before Task 1, or in a sequence before a later task.

    model: holds theta*, the weights after the task before, and is the one that will be trained. task0_train: the only questions of Task 0
    that a method may store or learn from. task1: the batches of the task that is learned now, which every arm sees in the same order.
    held_out: texts that no buffer may hold, such as the names of all units but those of the tasks that were learned.

    since: the questions of each task learned since Task 0, in order; none before Task 1. former_weights: the folders of the weights after
    Task 0 and after each of these, but for the last, which `model` holds. goes_on: whether the arm will learn another task after this one.
    """

    model: PreTrainedModel
    task0_train: Items
    task1: QuestionBatches
    training: Task1
    precision: str
    seed: int
    tokenizer: Tokenizer
    held_out: frozenset[str]
    since: tuple[Items, ...] = ()
    former_weights: tuple[Path, ...] = ()
    goes_on: bool = False

    @property
    def former(self) -> list[Items]:
        """The training questions of every task that was learned, Task 0 first."""
        return [self.task0_train, *self.since]

    @property
    def old(self) -> Items:
        """All of them together."""
        return reduce(Items.joined_with, self.former)

    def former_models(self) -> Iterator[PreTrainedModel]:
        """The model as it was after each task that was learned, Task 0 first, one at a time; the last one is `model` itself."""
        for folder in self.former_weights:
            yield load_checkpoint(folder).to(self.model.device)
        yield self.model


class Method(Hooks):
    """One method: the hooks of the training loop, and what comes before, around and after them.

    The training job calls, in this order: `before_task` once; `trainable`, `batches`; in every step `on_loss`, `on_gradient`, `on_update`;
    `after_task` once. A resumed job calls `before_task` again with the same setting, so it must depend on nothing else.
    """

    stored_bytes: int = 0
    """What the method keeps of the tasks before, beside the model that it trains."""
    prepared_rows: int = 0
    """Questions that went through the model before the task."""
    held_weights: int = 0
    """Degrees of freedom that the method takes from the trainable weights: as many fewer can move."""

    def __init__(self, arm: Any) -> None:
        self.arm = arm

    def before_task(self, setting: Setting) -> None:
        """Prepare. An override calls this first, and may use the model but must leave its weights as they are."""
        self.setting = setting

    def batches(self) -> Batches:
        """What is trained on."""
        return self.setting.task1

    def after_task(self) -> dict[str, float]:
        """Numbers of the method's own, by metric name."""
        return {}


def build_method(arm: Arm) -> Method:
    """The method of an arm, with its knobs."""
    method: type[Method] = import_module(f"forgetting.methods.{arm.method}.method").METHOD
    return method(arm)
