"""The job that makes one arm of a task after Task 0, by training or from another arm."""

from __future__ import annotations

from typing import Any

from forgetting.config.fields import Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import CheckpointPrecision, Evaluation, Task1


class FinetuneJob(Job):
    """stage: the task that is learned. tasks: all that the arm learns, one after the other, this one among them. task1: how each of them is
    trained.

    method: the entry of `config/methods.yaml`, as `knobs.parse_arm` takes it. It is not checked here, so that the knobs of methods
    are no concern of jobs without one: a new method makes no other job run again. every_checkpoint: whether more than the
    points early, matched and end (`data/points.py`) is kept."""

    stage: str = "task1"
    tasks: tuple[str, ...] = ("task1",)
    arm: str
    method: dict[str, Any]
    task1: Task1
    evaluation: Evaluation
    scorer: str = "exact"
    precision: Precision
    every_checkpoint: bool
    checkpoint_precision: CheckpointPrecision

    @classmethod
    def is_stage(cls, stage: object) -> bool:
        return isinstance(stage, str) and stage.startswith("task") and stage != "task0"

    @property
    def earlier(self) -> tuple[str, ...]:
        """The tasks that the arm has learned since Task 0."""
        return self.tasks[: self.tasks.index(self.stage)]

    @property
    def later(self) -> tuple[str, ...]:
        """The tasks that it will learn afterwards."""
        return self.tasks[len(self.earlier) + 1 :]
