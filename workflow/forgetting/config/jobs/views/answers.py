"""The views of what checkpoints answer: positions, and the common shift with recall."""

from __future__ import annotations

from forgetting.config.jobs.views.base import ViewJob
from forgetting.config.sections import Evaluation


class AnswersJob(ViewJob):
    evaluation: Evaluation
