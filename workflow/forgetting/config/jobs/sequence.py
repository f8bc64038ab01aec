"""The job that recovers every task that an arm has learned before the one at whose end it stands."""

from __future__ import annotations

from typing import Literal

from forgetting.config.fields import Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import CheckpointPrecision, Evaluation, RecoveryTraining


class SequenceRecoveryJob(Job):
    """learned: the task from whose end recovery starts; null for models that learned none, whose arm is `controls`. tasks: those that are
    recovered beside Task 0."""

    stage: Literal["sequence"] = "sequence"
    arm: str
    learned: str | None
    tasks: tuple[str, ...]
    recovery: RecoveryTraining
    evaluation: Evaluation
    scorer: str = "exact"
    precision: Precision
    checkpoint_precision: CheckpointPrecision
