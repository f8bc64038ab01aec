"""What a diagnosis and an advice of a given model have alike: numbers over units, the conditions of an answer, and how both are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from forgetting.intervals import Interval
from forgetting.statistics import difference_ends, paired_difference, share_of_units

NEGLIGIBLE = 0.1
"""A loss that is surely smaller does not matter; the same margin is asked of knowledge above its floor."""
LARGE_DIFFERENCE = 0.5
FEWEST_UNITS = 8


@dataclass(frozen=True)
class Gate:
    """A condition without which the verdict means nothing. said: what was found, in words; advice: what to do where it fails."""

    name: str
    passed: bool
    said: str
    advice: str = ""


@dataclass(frozen=True)
class Effect:
    """A number with its interval over units, and what it says."""

    interval: Interval
    words: str
    units: int = 0
    n: int = 0


def accuracy(scores: pd.Series) -> Interval:
    """Of mean scores by unit, with an interval over units."""
    return share_of_units(scores.to_numpy(dtype=float)) if len(scores) else Interval(nan, nan, nan)


def difference(first: pd.Series, second: pd.Series, questions: int) -> Interval:
    """Of the means of the same units: paired; a large one by the intervals of both, as that of pairs says little near its bounds."""
    if not len(first) or not len(second):
        return Interval(nan, nan, nan)
    units = first.index.intersection(second.index)
    pairs = first[units].to_numpy(dtype=float), second[units].to_numpy(dtype=float)
    value = float(pairs[0].mean() - pairs[1].mean())
    if abs(value) > LARGE_DIFFERENCE:
        return Interval(value, *difference_ends(share_of_units(pairs[0]), share_of_units(pairs[1])))
    return paired_difference(*pairs, answers_of_unit(len(units), questions))


def answers_of_unit(units: int, questions: int) -> int:
    """How many of the questions one unit has, about."""
    return max(1, round(questions / max(1, units)))


def floor_of_knowledge(data: Mapping[str, Any]) -> float:
    """The accuracy of the old task that takes no knowledge. `data`: data.json."""
    return max(data["floors"]["modal_answer"][0], data["floors"].get("random_choice", 0.0))


def scored_alike(share: float, section: str) -> Gate:
    """Whether the questions are scored the same alone and in a batch; `share`: of those asked both ways."""
    advice = f"The model's scores depend on what is asked beside: set {section}.batch_size: 1."
    return Gate("scored the same alone and in a batch", share >= 1, f"{percent(share)} of those that were asked both ways", advice)


def unmet(gates: Sequence[Gate]) -> tuple[str, Gate] | None:
    """Where a condition does not hold, why nothing can be said, and the first of these conditions."""
    failed = [gate for gate in gates if not gate.passed]
    if not failed:
        return None
    return f"Nothing can be said, as this does not hold: {'; '.join(f'{gate.name} ({gate.said})' for gate in failed)}.", failed[0]


def units_needed(effect: Effect, level: float) -> int | None:
    """How many units would do for the interval to leave `level` out, if it shrinks with the root of their number; None for over 20 times as
    many as there are."""
    value, low, high = effect.interval
    reach = (value - low) if value > level else (high - value)
    distance = abs(value - level)
    if not isfinite(reach) or distance <= 0 or reach / distance > np.sqrt(20):
        return None
    return ceil(1.1 * effect.units * (reach / distance) ** 2)


def more_units(effect: Effect, level: float, what: str, how: str = "") -> str:
    """What would tell a number from `level`: so many units more."""
    if needed := units_needed(effect, level):
        return f"About {needed} {what} in place of {effect.units}, if the numbers stay{how}."
    return "More units; how many cannot be told, as the number is near its limit."


def counted(number: int, what: str) -> str:
    """So many of what is counted, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """In whole hundredths, never minus zero."""
    return f"{round(100 * share)}%"


def number_text(interval: Interval) -> str:
    """A number with its ends, never minus zero."""
    value, low, high = (f"{round(end, 2) + 0:.2f}" for end in interval)
    return f"{value} [{low}, {high}]"


def points(interval: Interval) -> str:
    """A difference of shares, with its ends, in hundredths."""
    return f"{round(100 * interval.value)} points [{round(100 * interval.low)}, {round(100 * interval.high)}]"
