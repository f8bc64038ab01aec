"""Names of the splits and runs of a diagnosis, and which learning rate decides it, for what trains and what reads. (No torch.)"""

from __future__ import annotations

import pandas as pd

TRAIN, TEST, COPYABLE, NEW = "old_train", "old_test", "old_copyable", "new"
RIGHT, SHUFFLED, WORDINGS, DOSE = "right", "shuffled", "wordings", "dose"
HALF_WAY = 0.5
"""A probe has learned its training questions when it has gone so far of the way from where it began to all right."""
ROUNDING = 1e-9
"""Sums of two accuracies that differ by no more are equal."""


def learned_share(facts: pd.DataFrame) -> float:
    """How far a probe went with its own training questions: 0 where it began, 1 all right. `facts`: PROBED rows of one rate."""
    trained = facts[facts["split"] == TRAIN]
    by_step = trained.groupby("step")["score"].mean()
    start, end = float(by_step.iloc[0]), float(by_step.iloc[-1])
    return 1.0 if start >= 1 else (end - start) / (1 - start)


def deciding_rate(facts: pd.DataFrame) -> tuple[float, bool]:
    """The rate by which a diagnosis is decided, and whether the probe from `after` learned its training questions there: the lowest rate at
    which it did, else the highest. Test questions play no part."""
    right = facts[(facts["start"] == "after") & (facts["training"] == RIGHT)]
    rates = sorted(right["rate"].unique())
    learned = [rate for rate in rates if learned_share(right[right["rate"] == rate]) >= HALF_WAY]
    return (learned[0], True) if learned else (rates[-1], False)
