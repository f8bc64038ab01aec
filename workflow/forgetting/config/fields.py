"""What every part of the configuration is made of, and what is said about one that cannot be used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forgetting.errors import StudyError

Count = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Precision = Literal["float32", "bf16"]
Target = Literal["all", "methods", "sequence", "factors", "axes", "architectures"]
"""What can be asked for that has figures, tables and a page of its own."""


class Strict(BaseModel):
    """Refuses unknown keys and numbers that are none, so a typing error never becomes a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConfigError(StudyError):
    """A configuration that no study can be run with; the message names every offending key."""


def one_line_each(error: ValidationError) -> str:
    """Every error of a model as a line that names the key."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "study"
        message = _WORDS.get(item["type"], item["msg"]).removeprefix("Value error, ")
        given = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
        lines.append(f"  {where}: {message}{given}")
    return "\n".join(lines)


_WORDS = {
    "extra_forbidden": "Extra inputs are not permitted: a key of this name is not known here",
    "union_tag_not_found": "needs the key 'method'",
}
"""Our words for errors whose own say too little, by type."""
