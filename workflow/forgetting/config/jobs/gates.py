"""The jobs that check the gates."""

from __future__ import annotations

from typing import Literal

from forgetting.config.fields import Count
from forgetting.config.jobs.base import Job
from forgetting.config.sections import GateThresholds


class GatesJob(Job):
    """gates: whether one that fails stops the study. task1_epoch_steps: steps in which Task 1 is seen once. biographies_read: whether
    the model was trained on biographies; else the gates on them do not apply."""

    stage: Literal["gates"] = "gates"
    gates: Literal["stop", "warn"]
    gate_thresholds: GateThresholds
    task1_epoch_steps: Count
    biographies_read: bool = True
