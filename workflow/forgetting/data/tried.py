"""Names of the methods and splits of an advice, for what trains and what reads. (No torch.)"""

from __future__ import annotations

from typing import NamedTuple

PLAIN, LORA = "seq", "lora"
"""Plain fine-tuning, which every other method is compared with; and low-rank adapters."""
OLD_TRAIN, OLD_VAL, OLD_TEST = "old_train", "old_val", "old_test"
"""What replay may store; what is chosen on; what is reported."""
NEW_TRAIN = "new_train"
"""New examples that are trained on and not measured, where there are many."""


class Pair(NamedTuple):
    """Two halves of the new examples: to choose on, and to report."""

    val: str
    test: str


TRAINED, HELD = Pair("new_trained_val", "new_trained_test"), Pair("new_held_val", "new_held_test")
"""Examples that every trial trains on, and such that none does."""
LEARNED = (NEW_TRAIN, *TRAINED)
MEASURED = (OLD_VAL, OLD_TEST, *TRAINED, *HELD)
