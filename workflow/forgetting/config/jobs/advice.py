"""The jobs that try methods on a given model."""

from __future__ import annotations

from typing import Literal

from forgetting.config.advice import Advice
from forgetting.config.jobs.base import Job


class AdviceJob(Job):
    """scale: the name of the advice."""

    stage: Literal["advice"] = "advice"
    advice: Advice

    @classmethod
    def of(cls, advice: Advice) -> AdviceJob:
        return cls(scale=advice.name, seed=advice.seed, advice=advice)
