"""The knobs of every Task 1 method: what an entry of `config/methods.yaml` may say. One class a method, without torch.

The method called `name` lives in `methods/name.py`; its knobs are the class here whose `method` is that name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, TypeAdapter, model_validator

from forgetting.config.fields import Count, NotNegative, Positive, Strict
from forgetting.data.points import NO_TASK0, never_had_task0

Share = Annotated[float, Field(gt=0, le=1)]
Held = Literal["subspaces", "rows", "vectors"]
WINDOW = (100, 150)
"""Steps of Task 1 between which the alignment direction is the displacement of the weights."""


class Arm(Strict):
    """What every arm may say in place of what `task1` says, its length in multiples of `task1.steps`, and where it starts.

    start: `task0`, the model after Task 0 (of LAMOL: after its own); `pretrained`, the model that never had Task 0: what it knows of
    Task 0 is what Task 1 itself teaches. carried_state: begin with the moments and the step count that AdamW had at the end of Task 0, not
    with fresh ones.
    """

    learning_rate: Positive | None = None
    weight_decay: NotNegative | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    batch_size: Count | None = None
    length: Positive = 1.0
    start: Literal["task0", "pretrained"] = "task0"
    carried_state: bool = False

    @property
    def uses_task0(self) -> bool:
        """Whether the method needs questions of Task 0 or the weights after it, and so cannot be a floor for what is left of Task 0."""
        return True

    @model_validator(mode="after")
    def _nothing_of_task0_reaches_a_floor(self) -> Self:
        if self.start == "pretrained" and (self.uses_task0 or self.carried_state):
            raise ValueError(
                "start: pretrained is for methods that see nothing of Task 0 (seq, freeze, gradient_projection with rule: exact) and carry "
                "no optimizer state over from it; this one would teach or assume what a floor must not have"
            )
        return self


class Sequential(Arm):
    method: Literal["seq"]

    @property
    def uses_task0(self) -> bool:
        return False


class Replay(Arm):
    """`share` of the Task 0 training persons is stored. `mix`: how many stored questions a batch holds, see `methods/replay.py`."""

    method: Literal["replay"]
    share: Share
    mix: Literal["batch", "half", "ratio"]


class Joint(Arm):
    method: Literal["joint"]


class Freeze(Arm):
    """The bottom `layers` layers and, unless `embedding` is false, the input embedding; `rule: as_released` repeats the reference's
    selection by substring."""

    method: Literal["freeze"]
    layers: Annotated[int, Field(ge=0)]
    embedding: bool = True
    rule: Literal["exact", "as_released"] = "exact"

    @property
    def uses_task0(self) -> bool:
        return False


class Ewc(Arm):
    """`penalty`: lambda. `questions`: how many of Task 0 the Fisher information is estimated on (all, when there are fewer)."""

    method: Literal["ewc"]
    penalty: NotNegative
    fisher: Literal["example", "batch"] = "example"
    questions: Count = 1000


class Lamol(Arm):
    """`pseudo_share`: gamma, pseudo examples as a share of the Task 1 questions. `language_loss`: lambda, the weight of the
    language-modelling loss in this method's own Task 0. `top_k`: tokens to sample from. `duplicates`: whether a text that was sampled
    several times is trained on as often, as in the paper, or as often as any other."""

    method: Literal["lamol"]
    pseudo_share: Share
    language_loss: Positive
    top_k: Count = 20
    duplicates: bool = True


class TaskVector(Arm):
    """`alpha`: how much of the task vector is taken back. `vector_end`: the share of the `seq` run at whose checkpoint the vector
    ends; null: at the checkpoint that it is taken from."""

    method: Literal["task_vector"]
    alpha: float
    vector_end: Share | None = None

    @model_validator(mode="after")
    def _nothing_is_trained(self) -> TaskVector:
        if said := [name for name, field in Arm.model_fields.items() if getattr(self, name) != field.default]:
            raise ValueError(f"a task vector is not trained, so it has no {said[0]}")
        return self


class GradientProjection(Arm):
    """`energy`: share of the activations' squared norm that `rule: gpm` protects. `hold`: what that rule holds at all; with less than
    everything it is a control of the whole. `repeats`: runs over which the alignment direction of the other rules is averaged."""

    method: Literal["gradient_projection"]
    rule: Literal["exact", "gpm", "reference"]
    energy: Share = 0.97
    hold: Annotated[list[Held], Field(min_length=1)] = Field(list(get_args(Held)))
    repeats: Count | None = None

    @property
    def runs(self) -> int:
        """`repeats`; where it is not said, the ten of the reference for its rule, and three for ours."""
        return self.repeats or (10 if self.rule == "reference" else 3)

    @model_validator(mode="after")
    def _direction_is_that_of_a_fresh_optimizer(self) -> GradientProjection:
        if self.carried_state and self.rule != "gpm":
            raise ValueError(
                "the runs behind an alignment direction start with fresh optimizer state, so carried_state is not for this rule"
            )
        return self

    @property
    def uses_task0(self) -> bool:
        return self.rule != "exact"


AnyArm = Annotated[
    Sequential | Replay | Joint | Freeze | Ewc | Lamol | TaskVector | GradientProjection,
    Field(discriminator="method"),
]


def parse_arm(entry: dict[str, Any]) -> AnyArm:
    """An entry of `config/methods.yaml`, checked. Raises ValidationError."""
    return TypeAdapter[AnyArm](AnyArm).validate_python(entry)


def check_name(name: str, arm: AnyArm) -> None:
    """Figures read a knob off the name of such arms as `replay-20`, and where an arm starts. Raises ValueError when the name says another
    than the entry."""
    if never_had_task0(name) != (arm.start == "pretrained"):
        raise ValueError(f"arm {name!r} has start: {arm.start}, but names end in {NO_TASK0} exactly where it is pretrained")
    for pattern, knob in _TOLD_BY_NAMES.items():
        if found := re.fullmatch(pattern, name.removesuffix(NO_TASK0)):
            value = getattr(arm, knob, None)
            told = float(found[1]) / (100 if knob in ("share", "pseudo_share", "energy") else 1)
            if value is None or abs(value - told) > 1e-9:
                raise ValueError(f"the name of arm {name!r} tells {knob} {told:g}, but its entry has {value}")


_TOLD_BY_NAMES = {
    r"seq-lr-([\d.e+-]+)": "learning_rate",
    r"seq-warmup-(\d+)": "warmup_steps",
    r"seq-batch-(\d+)": "batch_size",
    r"replay(?:-ratio|-half)?-([\d.]+)": "share",
    r"ewc(?:-batch)?-(\d[\d.e+-]*)": "penalty",
    r"lamol-([\d.]+)(?:-distinct)?": "pseudo_share",
    r"task-vector-([\d.]+)(?:-end-[\d.]+)?": "alpha",
    r"task-vector-[\d.]+-end-([\d.]+)": "vector_end",
    r"projection-gpm-([\d.]+)": "energy",
    r"freeze(?:-as-released|-layers)?-(\d+)": "layers",
}
"""Form of a name, and the knob that its number is (shares in per cent)."""
