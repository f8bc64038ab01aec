"""The views that are no arm's own: the Fisher information after Task 0, and the drift of all arms."""

from __future__ import annotations

from typing import Literal

from forgetting.config.jobs.base import Job
from forgetting.config.sections import Evaluation


class FisherJob(Job):
    stage: Literal["fisher"] = "fisher"


class DriftJob(Job):
    stage: Literal["drift"] = "drift"
    evaluation: Evaluation
