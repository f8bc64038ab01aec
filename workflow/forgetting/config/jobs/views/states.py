"""The views of the residual stream: features, and the theory's propositions."""

from __future__ import annotations

from forgetting.config.fields import Count
from forgetting.config.jobs.views.base import ViewJob


class StatesJob(ViewJob):
    components: Count
    evaluation_batch_size: Count
