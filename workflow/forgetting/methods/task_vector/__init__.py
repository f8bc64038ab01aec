"""Task vector (Ilharco et al. 2023): after sequential training, part of the way from theta* is taken back.

Nothing is trained, so there is no `method.py`: `stages/merging.py` computes the arm from the checkpoints of `seq`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from forgetting.config.knobs import Arm, Share

EXAMPLES = {"task-vector": {"method": "task_vector", "alpha": 0.5}}


class Knobs(Arm):
    trained: ClassVar[bool] = False

    method: Literal["task_vector"]
    alpha: float = Field(
        description="how much of the way from the weights after Task 0 is taken back; nothing is trained, the run is that of `seq`"
    )
    vector_end: Share | None = Field(
        None,
        description="share of the run at which the vector ends; `null`: at the checkpoint that it is taken from",
    )

    @model_validator(mode="after")
    def _nothing_is_trained(self) -> Self:
        others = {name: field.default for name, field in Arm.model_fields.items() if name != "method"}
        if said := [name for name, default in others.items() if getattr(self, name) != default]:
            raise ValueError(f"a task vector is not trained, so it has no {said[0]}")
        return self
