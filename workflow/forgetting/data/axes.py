"""The arms of `seq` with one thing changed each: which axis, and where on it, the name of an arm tells. (No torch.)"""

from __future__ import annotations

import re

AXES = {
    "units": r"seq-units-(\d+)",
    "optimizer": r"seq-(sgd|muon)",
    "batch_size": r"seq-batch-(\d+)",
    "learning_rate": r"seq-lr-(\d[\d.e+-]*)",
}
"""By the knob that an axis turns: the names of its arms."""


def tells(arm: str, knobs: object) -> bool:
    """Whether the name says an axis, and what the knobs of the arm have there."""
    knob, told = axis_of_arm(arm) or ("", "")
    value = getattr(knobs, knob, None)
    return value is not None and (value == told if knob == "optimizer" else float(value) == float(told))


def axis_of_arm(arm: str) -> tuple[str, str] | None:
    """The knob, and its value as the name says it; None for the name of another arm."""
    found = ((knob, re.fullmatch(pattern, arm)) for knob, pattern in AXES.items())
    return next(((knob, match[1]) for knob, match in found if match), None)
