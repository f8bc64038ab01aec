"""The job that pretrains."""

from __future__ import annotations

from typing import Literal

from forgetting.config.biography import Data
from forgetting.config.fields import Count, Precision
from forgetting.config.jobs.base import Job
from forgetting.config.sections import Model, Pretrain


class PretrainJob(Job):
    stage: Literal["pretrain"] = "pretrain"
    data: Data
    model: Model
    pretrain: Pretrain
    evaluation_batch_size: Count
    precision: Precision
