"""What an entry of `config/methods.yaml` may say whatever its method is: the base of every method's knobs. (No torch.)

The knobs of the method `name` are the class `Knobs` of the folder `methods/name`. A job reads those of its own method alone
(`parse_arm`), so that another method, or a new one, makes none run again; `config/arms.py` knows all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from forgetting.config.fields import Count, NotNegative, Positive, Strict

Share = Annotated[float, Field(gt=0, le=1)]


class Arm(Strict):
    """The knobs that all methods share: in place of what `task1` says, how long, and from where. A method adds its own.

    Beside its knobs a method says here what the rest of the project must know of it:

    work: what a step of Task 1 costs, as a multiple of plain training (of the right order: it decides no result, only what a cluster is
    asked for). trained: false where nothing is trained, and the arm is computed from the checkpoints of `seq`.
    """

    work: ClassVar[float] = 1.0
    trained: ClassVar[bool] = True

    method: str = Field(description="the name of its folder in `workflow/forgetting/methods`")
    learning_rate: Positive | None = Field(None, description="instead of `task1.optimizer.learning_rate`")
    weight_decay: NotNegative | None = Field(None, description="instead of `task1.optimizer.weight_decay`")
    warmup_steps: Annotated[int, Field(ge=0)] | None = Field(None, description="instead of `task1.schedule.warmup_steps`")
    batch_size: Count | None = Field(None, description="instead of `task1.batch_size`; the questions come in the same order")
    optimizer: Literal["adamw", "sgd", "muon"] = Field(
        "adamw", description="in place of AdamW, see `*.optimizer.kind`; another one than AdamW needs a rate of its own"
    )
    units: Count | None = Field(None, description="learns Task 1 about its first so many units (persons) alone; `null`: all")
    task1_values: Literal["all", "half"] = Field(
        "all",
        description="`half`: the persons of Task 1 have values of half B alone, for studies with `data.halves`; `all`: of both",
    )
    task1_format: Literal["same", "other", "statement"] = Field(
        "same",
        description="`same`: Task 1 asks in the words of Task 0; `other`: in those of `resources/other_wordings.yaml`; `statement`: a "
        "sentence of a biography up to the value, one a fact, with the loss on the value. Task 1 accuracy is exact match in the form that "
        "it trains",
    )
    length: Positive = Field(
        1.0,
        description="its steps, in multiples of `task1.steps`. With an early stop and at matched Task 1 accuracy, an arm that learns "
        "slowly can so be compared at all; tables at equal steps read off what it had reached by then (nothing, if it is shorter)",
    )
    start: Literal["task0", "pretrained"] = Field(
        "task0",
        description="`task0`: the model after Task 0; `pretrained`: the model that never had Task 0, for methods that see nothing of it "
        "(`seq`, `freeze`, `gradient_projection` with `rule: exact`). The names of such arms, and no others, end in `-no-task0`; another "
        "arm is held against the one of its own name, else against `seq-no-task0`",
    )
    carried_state: bool = Field(
        False,
        description="AdamW begins with its moments and step count at the end of Task 0, which that job writes beside its model, instead "
        "of fresh ones. Not with `rule: exact` or `reference`",
    )

    @property
    def cell(self) -> str | None:
        """Which values and form Task 1 has, as `<values>-<format>`; None for the ones that it has in every other arm."""
        cell = f"{self.task1_values}-{self.task1_format}"
        return None if cell == "all-same" else cell

    @property
    def uses_task0(self) -> bool:
        """Whether the method needs questions of Task 0 or the weights after it, and so cannot be a floor for what is left of Task 0."""
        return True

    @property
    def task0_language_loss(self) -> float | None:
        """The weight of the language-modelling loss in a Task 0 of the method's own; None where it starts from the one all arms share."""
        return None

    @property
    def steps_before(self) -> int:
        """Steps of plain Task 1 training that the method takes before Task 1, for its size."""
        return 0

    def added_questions(self, task0_train: int, task1: int) -> float:
        """How many questions a batch has beside those of Task 1, as a multiple of these, for its size. Given are units."""
        return 0.0

    def problems(self, layers: int, batch_size: int) -> Iterator[str]:
        """Why these knobs cannot be used with a model of so many layers, or batches of so many questions; each follows the arm's name."""
        yield from ()

    @model_validator(mode="after")
    def _moments_fit(self) -> Self:
        if self.carried_state and self.optimizer != "adamw":
            raise ValueError(f"carried_state is the state of AdamW, which optimizer: {self.optimizer} cannot take")
        return self

    @model_validator(mode="after")
    def _nothing_of_task0_reaches_a_floor(self) -> Self:
        if self.start == "pretrained" and (self.uses_task0 or self.carried_state):
            raise ValueError(
                "start: pretrained is for methods that see nothing of Task 0 (seq, freeze, gradient_projection with rule: exact) and carry "
                "no optimizer state over from it; this one would teach or assume what a floor must not have"
            )
        return self


def knobs_of(method: str) -> type[Arm]:
    """The knobs of one method."""
    found: type[Arm] = import_module(f"forgetting.methods.{method}").Knobs
    return found


def parse_arm(entry: dict[str, Any]) -> Arm:
    """An entry of `config/methods.yaml`, checked by its own method. Raises ValidationError."""
    return knobs_of(entry["method"]).model_validate(entry)
