"""The jobs that fine-tune on Task 0."""

from __future__ import annotations

from typing import Literal

from forgetting.config.fields import Positive, Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import Evaluation, Task0


class Task0Job(Job):
    stage: Literal["task0"] = "task0"
    task0: Task0
    evaluation: Evaluation
    scorer: str = "exact"
    precision: Precision


class LamolTask0Job(Task0Job):
    """Task 0 of the arms of LAMOL with this weight (lambda) of the language-modelling loss."""

    language_loss: Positive
