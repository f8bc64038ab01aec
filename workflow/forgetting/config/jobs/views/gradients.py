"""The view of the gradients of both tasks."""

from __future__ import annotations

from forgetting.config.fields import Count
from forgetting.config.jobs.views.base import ViewJob


class GradientsJob(ViewJob):
    evaluation_batch_size: Count
