"""The jobs that diagnose a given model."""

from __future__ import annotations

from typing import Literal

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.base import Job


class DiagnosisJob(Job):
    """scale: the name of the diagnosis."""

    stage: Literal["diagnosis"] = "diagnosis"
    diagnosis: Diagnosis

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> DiagnosisJob:
        return cls(scale=diagnosis.name, seed=diagnosis.seed, diagnosis=diagnosis)
