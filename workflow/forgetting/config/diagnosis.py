"""The section `diagnose`: a model that somebody else trained, and what it is asked (docs/diagnose.md)."""

from __future__ import annotations

from os.path import abspath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from forgetting.config.asked import Asked, Measure, Path, Rates, rising
from forgetting.config.fields import Count, Fraction, NotNegative, Positive, Strict


class DiagnosisProbe(Strict):
    """What is trained from each model: the same small budget from each."""

    steps: Count = Field(default=100, description="optimizer steps of every training run")
    batch_size: Count = Field(default=16, description="examples a step")
    learning_rate: Positive | None = Field(
        default=None,
        description="of AdamW; `null`: by the number of weights, 1e-4 for two million and 3e-5 for 135 million, ten times that with LoRA",
    )
    rates: Rates = Field(
        default=[1.0, 3.0], description="rising multiples of the rate; the first that learns its own training questions decides"
    )
    evaluate_steps: list[Count] = Field(default=[1, 2, 4, 8, 15, 25, 40, 60, 80], description="rising steps at which it is measured")
    seeds: Count = Field(default=2, description="how often each run is repeated, with another order of the examples")
    doses: list[Count] = Field(default=[1, 4, 16, 64], description="rising numbers of units to train on in place of all, for as many steps")
    weight_decay: NotNegative = Field(default=0.0, description="decoupled; not on biases and norms")
    adapter: Literal["auto", "full", "lora"] = Field(
        default="auto", description="train all weights, or LoRA on all linear maps (needs peft); `auto`: all, where memory allows"
    )

    @model_validator(mode="after")
    def _lists_rise(self) -> Self:
        for key in ("rates", "evaluate_steps", "doses"):
            rising(f"diagnose.probe.{key}", getattr(self, key))
        return self


class Diagnosis(Asked):
    """Of one model before and after it was trained on something new."""

    after: Path = Field(description="folder or hub name of the model after the new task; a folder of a PEFT adapter is taken too")
    base: Path | None = Field(default=None, description="folder or hub name of one that never saw the old task's form; `null`: none")
    new: Path | None = Field(default=None, description="examples of the new task, in the same form")
    text: Path | None = Field(default=None, description="a file of general text, of which the perplexity is measured")
    also: list[Measure] = Field(default=[], description="further measures, of each model as it is and after recovery")
    units: Annotated[int, Field(ge=4)] = Field(
        default=400, description="at most so many units of the old examples are used, drawn at random"
    )
    train_share: Annotated[Fraction, Field(gt=0, lt=1)] = Field(
        default=0.5, description="share of the units that recovery trains on; it is measured on the others"
    )
    remedies: bool = Field(default=True, description="try repairs that need no training")
    write: Path | None = Field(
        default=None, description="folder for the repaired model that the remedy section names; `null`: none is written"
    )
    probe: DiagnosisProbe = Field(default=DiagnosisProbe(), description="the recovery that is tried")

    @model_validator(mode="after")
    def _measures_differ(self) -> Self:
        if self.measure in self.also or len(set(self.also)) != len(self.also):
            raise ValueError(f"diagnose.also has a measure twice, or that of diagnose.measure: {self.also}")
        return self

    @model_validator(mode="after")
    def _written_elsewhere(self) -> Self:
        given = {key: getattr(self, key) for key in ("before", "after", "base", "tokenizer") if getattr(self, key) is not None}
        for key, path in given.items():
            if self.write is not None and abspath(self.write) == abspath(path):
                raise ValueError(f"diagnose.write is the folder of diagnose.{key}, which would be overwritten: {self.write}")
        return self

    @model_validator(mode="after")
    def _a_repair_has_a_cost(self) -> Self:
        if self.write is not None and self.new is None:
            raise ValueError("diagnose.write needs diagnose.new: without it nobody knows what a repair costs, so none is the best")
        return self

    @property
    def starts(self) -> tuple[str, ...]:
        """The models that the probe starts from."""
        return ("before", "after", *(("base",) if self.base else ()), "random")
