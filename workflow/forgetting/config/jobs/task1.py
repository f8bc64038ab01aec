"""The job that makes one arm of Task 1, by training or from another arm."""

from __future__ import annotations

from typing import Any, Literal

from forgetting.config.fields import Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import CheckpointPrecision, Evaluation, Task1


class Task1Job(Job):
    """method: the entry of `config/methods.yaml`, as `knobs.parse_arm` takes it. It is not checked here, so that the knobs of methods
    are no concern of jobs without one: a new method makes no other job run again. every_checkpoint: whether more than the
    points early, matched and end (`data/points.py`) is kept."""

    stage: Literal["task1"] = "task1"
    arm: str
    method: dict[str, Any]
    task1: Task1
    evaluation: Evaluation
    scorer: str = "exact"
    precision: Precision
    every_checkpoint: bool
    checkpoint_precision: CheckpointPrecision
