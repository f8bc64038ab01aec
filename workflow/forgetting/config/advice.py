"""The section `advise`: which way to train a model on something new keeps the most of the old (docs/advise.md)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from forgetting.config.asked import Asked, Path, Rates, rising
from forgetting.config.fields import Count, Fraction, NotNegative, Positive, Strict
from forgetting.config.knobs import Share
from forgetting.data.tried import LORA, PLAIN


class Trial(Strict):
    """The short training on new examples that every method gets."""

    steps: Count = Field(default=200, description="optimizer steps of every trial")
    batch_size: Count = Field(default=16, description="new examples a step; replay adds as many old ones")
    learning_rate: Positive | None = Field(
        default=None, description="of AdamW, without warm-up or decay; `null`: by the number of weights, as `diagnose.probe.learning_rate`"
    )
    rates: Rates = Field(
        default=[1.0],
        description="rising multiples of the rate; each method is tried at each, and judged where it learns and keeps the most",
    )
    weight_decay: NotNegative = Field(default=0.0, description="decoupled; not on biases and norms")
    evaluate_steps: list[Count] = Field(
        default=[5, 10, 20, 35, 50, 75, 100, 150], description="rising steps at which a trial is measured, and might have been stopped"
    )
    seeds: Count = Field(default=1, description="how often each trial is repeated, with another order and other stored examples")
    freeze: list[Fraction] = Field(
        default=[0.0, 0.25, 0.5], description="rising depths of freezing: the input embedding and this share of the layers, from the bottom"
    )
    replay: list[Share] = Field(default=[0.1, 0.5], description="rising shares of the old units for training that replay stores")
    lora: bool = Field(default=True, description="try LoRA of rank 16 on all linear maps, at ten times the rate (needs peft)")

    @model_validator(mode="after")
    def _lists_rise(self) -> Self:
        for key in ("rates", "evaluate_steps", "freeze", "replay"):
            rising(f"advise.trial.{key}", getattr(self, key))
        return self

    @model_validator(mode="after")
    def _something_is_compared(self) -> Self:
        if not (self.freeze or self.replay or self.lora):
            raise ValueError("advise.trial has nothing to compare plain fine-tuning with: name depths of freeze, shares of replay, or lora")
        return self


class Advice(Asked):
    """What is tried on one model, before it is trained on something new."""

    new: Path = Field(description="training examples of the new task, in the same form")
    units: Annotated[int, Field(ge=8)] = Field(
        default=400, description="at most so many units of the old examples are used, drawn at random, and so many new ones measured"
    )
    train_share: Annotated[Fraction, Field(gt=0, lt=1)] = Field(
        default=0.4, description="share of the old units that replay may store; the others are asked about, half to choose, half to report"
    )
    trial: Trial = Field(default=Trial(), description="the training that is tried")

    @property
    def tried(self) -> tuple[str, ...]:
        """The methods by name, the cheapest first. A number in a name is per cent, of the layers frozen or of the old units stored."""
        freeze, replay = (
            [f"{name}-{100 * share:g}" for share in shares]
            for name, shares in (("freeze", self.trial.freeze), ("replay", self.trial.replay))
        )
        return (PLAIN, *freeze, *([LORA] if self.trial.lora else []), *replay)
