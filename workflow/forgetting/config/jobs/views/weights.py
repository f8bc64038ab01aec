"""The view of the weight updates."""

from __future__ import annotations

from forgetting.config.fields import Count, Fraction
from forgetting.config.jobs.views.base import ViewJob


class WeightsJob(ViewJob):
    energy: Fraction
    principal_rank: Count
