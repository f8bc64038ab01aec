"""What the name of an arm tells: the knobs in it, and how figures draw it. (No torch, no Matplotlib.)

A method says so of its arms in `look.py` of its folder, which no job that trains reads: a colour trains nothing again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

METHODS = Path(__file__).parents[1] / "methods"
"""One folder a method."""
NUMBER = r"([\d.]+)"
POWER = r"(\d[\d.e+-]*)"
LAST = 1000
"""Place in legends of what asks for none."""

Marker = str | tuple[int, int, float]
"""As in Matplotlib: a letter, or a star with so many points."""


@dataclass(frozen=True)
class Family:
    """Arms whose names have one form and differ in numbers.

    pattern: a regular expression for the whole name, with a group a number. tells: the knob of each number, and by how much the
    number is larger than the knob (100 for per cent). marker: unlike that of every other family. colors: a ramp, on which `place`
    (0 to 1) puts the last number. label: legend text, in which \\1 is the first number. order: place in legends.
    """

    name: str
    pattern: str
    marker: Marker
    colors: Sequence[str | tuple[float, str]]
    label: str
    place: Callable[[float], float] = lambda number: 0.5
    tells: Mapping[str, float] = field(default_factory=dict)
    order: int = LAST


def logarithmic(low: float, high: float) -> Callable[[float], float]:
    """Places from 0 at `low` to 1 at `high`, on a logarithmic scale."""

    def place(number: float) -> float:
        share = (math.log10(max(number, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return min(1.0, share)

    return place


def method_names() -> list[str]:
    """The methods that there are: the folders in `methods`."""
    return sorted(path.parent.name for path in METHODS.glob("*/__init__.py"))


def families() -> dict[str, Family]:
    """The families of all methods by name, in the order of legends."""
    found = sorted(
        (family for of_method in families_of_methods().values() for family in of_method), key=lambda family: (family.order, family.name)
    )
    return {family.name: family for family in found}


def families_of_methods() -> dict[str, list[Family]]:
    """The families of each method that says how its arms look."""
    named = [name for name in method_names() if (METHODS / name / "look.py").is_file()]
    return {name: import_module(f"forgetting.methods.{name}.look").FAMILIES for name in named}
