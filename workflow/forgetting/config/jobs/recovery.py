"""The job that recovers Task 0 from the checkpoints of one arm, or from models that never had Task 0."""

from __future__ import annotations

from typing import Literal

from forgetting.config.fields import Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import CheckpointPrecision, Evaluation, RecoveryTraining

Probe = Literal["curve", "long", "short"]


class RecoveryJob(Job):
    """probe: from which checkpoints the arm is recovered and for how long, see `recover_arm`. controls: whether it is trained on other
    content, other form and fewer units, too. Of the pretrained model and random weights the arm is `controls`."""

    stage: Literal["recovery"] = "recovery"
    arm: str
    recovery: RecoveryTraining
    probe: Probe
    controls: bool
    evaluation: Evaluation
    scorer: str = "exact"
    precision: Precision
    checkpoint_precision: CheckpointPrecision
