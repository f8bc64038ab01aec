"""A model of the user's own and the examples that it is asked about: what the sections `diagnose` and `advise` have alike."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from forgetting.config.fields import Count, Positive, Precision, Strict

Measure = Literal["exact", "choice", "choice_normalised", "generated", "contains", "rouge_l", "edit_similarity", "refusal"]
NEEDS_CHOICES = ("choice", "choice_normalised")
Path = Annotated[str, Field(min_length=1)]
Rates = Annotated[list[Positive], Field(min_length=1)]
"""Multiples of a learning rate, each of which is trained with."""


class Asked(Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="letters, digits, `.`, `_`, `-`; names the folder of results, in `results/diagnose` or `results/advise`"
    )
    before: Path = Field(description="folder or hub name of the model that knows the old task, before the new one")
    old: Path = Field(
        description="examples of the old task: JSONL, JSON, CSV, Parquet or a folder of `datasets`, with `prompt` and `answer`, or "
        "`messages`; optional columns `unit`, `kind`, `wordings`, `choices`"
    )
    tokenizer: Path | None = Field(default=None, description="folder or hub name of the tokenizer; `null`: that of `before`")
    trust_remote_code: bool = Field(default=False, description="`true`: run the code that comes with a model")
    measure: Measure = Field(
        default="exact",
        description="what counts as right: `exact` (every token of the answer is the likeliest), `choice` (the likeliest of `choices`; "
        "`choice_normalised`: by token), or of the text that the model writes: `generated` (it is the answer), `contains`, `rouge_l`, "
        "`edit_similarity`, `refusal`",
    )
    end_token: bool = Field(default=True, description="whether answers of `prompt` and `answer` end with the tokenizer's end token")
    separator: str = Field(default="", description="what stands between prompt and answer, for files that have it in neither")
    new_tokens: Count = Field(default=48, description="most tokens that are generated for an answer")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(default=0, description="of all random draws")
    batch_size: Count = Field(default=32, description="questions a forward pass")
    precision: Precision = Field(default="float32", description="arithmetic of training, as of the study")


def units_to_train(units: int, train_share: float) -> int:
    """How many of so many units, four or more, are trained on; two at least are on either side."""
    return min(max(2, round(train_share * units)), units - 2)


def rising(key: str, values: list[int] | list[float]) -> None:
    """Raises ValueError that names the key of a list that does not rise."""
    if values != sorted(set(values)):
        raise ValueError(f"{key} must rise from one to the next: got {values}")
