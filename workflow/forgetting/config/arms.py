"""All methods that there are, for the Snakefile: what entries of `config/methods.yaml` may say. No job that trains imports this."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from pydantic_core import PydanticUndefined

from forgetting.config.knobs import Arm, knobs_of
from forgetting.config.names import families, method_names
from forgetting.data.points import NO_TASK0, never_had_task0

KNOBS: dict[str, type[Arm]] = {name: knobs_of(name) for name in method_names()}
"""The knobs of every method, by its name."""

if TYPE_CHECKING:
    AnyArm = Arm
else:
    AnyArm = Annotated[reduce(or_, KNOBS.values()), Field(discriminator="method")]


def check_name(name: str, arm: Arm) -> None:
    """Figures read knobs off the name of such arms as `replay-20`, and where an arm starts. Raises ValueError when the name says
    another than the entry."""
    if never_had_task0(name) != (arm.start == "pretrained"):
        raise ValueError(f"arm {name!r} has start: {arm.start}, but names end in {NO_TASK0} exactly where it is pretrained")
    for family in families().values():
        found = re.fullmatch(family.pattern, name.removesuffix(NO_TASK0))
        for (knob, unit), number in zip(family.tells.items(), found.groups() if found else (), strict=False):
            value, told = getattr(arm, knob, None), float(number) / unit
            if value is None or abs(value - told) > 1e-9:
                raise ValueError(f"the name of arm {name!r} tells {knob} {told:g}, but its entry has {value}")


def knob_rows() -> Iterator[tuple[str, str, str, str]]:
    """For documentation: method, knob, default and description, of the knobs that methods add to those of `Arm`. A method without any
    has one row, with what it is. A default is as in YAML, and empty where
    the knob must be said."""
    for name, knobs in KNOBS.items():
        own = {key: found for key, found in knobs.model_fields.items() if key not in Arm.model_fields}
        if not own:
            yield name, "", "", (sys.modules[knobs.__module__].__doc__ or "").partition("\n")[0]
        for key, found in own.items():
            default = "" if found.default is PydanticUndefined else f"`{json.dumps(found.default)}`"
            yield name, key, default, found.description or ""


def knob_table() -> list[str]:
    """`knob_rows` as the lines of the Markdown table of config/README.md; the name of a method is in its first row."""
    lines, before = ["| method | key | meaning |", "| --- | --- | --- |"], ""
    for method, knob, default, description in knob_rows():
        name, key = f"`{method}`" if method != before else "", f"`{knob}`" if knob else ""
        meaning = f"{description} (default {default})" if default else description
        lines.append(re.sub(" +", " ", f"| {name} | {key} | {meaning} |"))
        before = method
    return lines
