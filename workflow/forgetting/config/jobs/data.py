"""The job that makes the data."""

from __future__ import annotations

from typing import Literal

from forgetting.config.biography import Data
from forgetting.config.jobs.base import Job
from forgetting.config.sections import Tokenizer


class DataJob(Job):
    stage: Literal["data"] = "data"
    data: Data
    tokenizer: Tokenizer
