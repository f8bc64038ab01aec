"""What every view of one arm has."""

from __future__ import annotations

from typing import Literal

from forgetting.config.jobs.base import Job


class ViewJob(Job):
    """A view of the checkpoints of one arm; a view with settings has a class of its own, with exactly those that it reads."""

    stage: Literal["views"] = "views"
    arm: str
