"""Elastic weight consolidation (Kirkpatrick et al. 2017): weights that mattered for Task 0 are pulled back to where they were."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from forgetting.config.fields import Count, NotNegative
from forgetting.config.knobs import Arm

EXAMPLES = {
    "ewc": {"method": "ewc", "penalty": 1.0},
    "ewc-batch": {"method": "ewc", "penalty": 1.0, "fisher": "batch"},
}


class Knobs(Arm):
    work: ClassVar[float] = 1.5  # assumption, from runs at laptop scale

    method: Literal["ewc"]
    penalty: NotNegative = Field(description="lambda, at least 0")
    fisher: Literal["example", "batch"] = Field(
        "example",
        description="`example`: squared gradients of single answers; `batch`: of the means of batches, as the reference",
    )
    questions: Count = Field(1000, description="of `task0_train`, on which the Fisher information is estimated (all, when there are fewer)")
