"""Gradient projection: Task 1 may not move the weights in directions that matter to Task 0."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from forgetting.config.fields import Count
from forgetting.config.knobs import Arm, Share

Held = Literal["subspaces", "rows", "vectors"]
WINDOW = (100, 150)
"""Steps of Task 1 between which the alignment direction is the displacement of the weights."""
EXAMPLES = {
    "projection": {"method": "gradient_projection", "rule": "exact", "repeats": 1},
    "projection-gpm": {"method": "gradient_projection", "rule": "gpm"},
    "projection-reference": {"method": "gradient_projection", "rule": "reference", "repeats": 1},
}


class Knobs(Arm):
    work: ClassVar[float] = 1.5  # assumption, from runs at laptop scale

    method: Literal["gradient_projection"]
    rule: Literal["exact", "gpm", "reference"] = Field(
        description="`exact`: no update along the alignment direction; `gpm`: none in the subspace of Task 0 activations; `reference`: "
        "as released"
    )
    energy: Share = Field(0.97, description="`gpm`: share of the activations' squared norm that is protected")
    hold: Annotated[list[Held], Field(min_length=1)] = Field(
        list(get_args(Held)),
        description="`gpm`: what is held of `subspaces` (of the inputs of linear maps), `rows` (of the embedding, for tokens of Task 0) "
        "and `vectors` (biases and norms); fewer than all three are controls",
    )
    repeats: Count | None = Field(
        None,
        description="`exact`, `reference`: runs of 150 steps that the alignment direction is the mean of (`null`: 3 for `exact`; 10 for "
        "`reference`, as released: 1,500 steps before the first)",
    )

    @property
    def runs(self) -> int:
        """`repeats`; where it is not said, the ten of the reference for its rule, and three for ours."""
        return self.repeats or (10 if self.rule == "reference" else 3)

    @property
    def uses_task0(self) -> bool:
        return self.rule != "exact"

    @property
    def steps_before(self) -> int:
        return 0 if self.rule == "gpm" else self.runs * WINDOW[1]

    @model_validator(mode="after")
    def _direction_is_that_of_a_fresh_optimizer(self) -> Self:
        if self.carried_state and self.rule != "gpm":
            raise ValueError(
                "the runs behind an alignment direction start with fresh optimizer state, so carried_state is not for this rule"
            )
        return self
