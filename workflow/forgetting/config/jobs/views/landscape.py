"""The loss landscape and the straight lines in it."""

from __future__ import annotations

from forgetting.config.fields import Count
from forgetting.config.jobs.views.base import ViewJob
from forgetting.config.sections import Landscape


class LandscapeJob(ViewJob):
    landscape: Landscape
    units_per_split: Count | None
