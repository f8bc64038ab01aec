"""How often the rules of a diagnosis say what is true of made-up models, by the number of measured units (docs/diagnose.md)."""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common import print_table
from forgetting.analysis.diagnosis import effects, gates, verdict
from forgetting.data.probed import RIGHT, TEST, TRAIN, deciding_rate

UNITS = (20, 50, 100, 300)
TRUTHS = {"all comes back": (1.0, "spurious"), "nine tenths come back": (0.9, "spurious"), "half comes back": (0.5, "both")}
TRUTHS |= {"nothing comes back": (0.0, "real")}
BEFORE, AFTER = 0.95, 0.10
STEPS = (0, 60, 100)
TRAINED = 50
"""Units that recovery trains on, all of which it learns."""


def made_up(share: float, units: int, generator: np.random.Generator) -> pd.DataFrame:
    """PROBED rows of one question a unit: what `before` knows is lost, but for AFTER in all; of the loss `share` comes back, each unit by
    itself. Random weights learn nothing, and `before` stays as it is."""
    known = generator.random(units) < BEFORE
    kept = known & (generator.random(units) < AFTER / BEFORE)
    back = kept | (known & (generator.random(units) < share))
    nothing = np.zeros(units, dtype=bool)
    runs = {"before": (known, known, known), "after": (kept, back, back), "random": (nothing, nothing, nothing)}
    frames = [rows(start, step, TEST, right) for start, values in runs.items() for step, right in zip(STEPS, values, strict=True)]
    for start in runs:
        frames += [rows(start, step, TRAIN, np.full(TRAINED, step > 0)) for step in (STEPS[0], STEPS[-1])]
    return pd.concat(frames, ignore_index=True).assign(training=RIGHT, units=TRAINED, rate=1.0, seed=0, kind="answer")


def rows(start: str, step: int, split: str, right: NDArray[np.bool_]) -> pd.DataFrame:
    unit = np.arange(len(right)) + (0 if split == TEST else 1000)
    return pd.DataFrame({"start": start, "step": step, "split": split, "unit": unit, "question": unit, "score": right.astype(float)})


def said(facts: pd.DataFrame, units: int) -> str:
    """The verdict on them, where the most frequent answer is that of one question in twenty."""
    data = {"floors": {"modal_answer": [0.05, 0.0, 0.1]}, "units": {TEST: units}}
    found = effects(facts, data, seed=0)
    checked = gates(found, data, pd.DataFrame(columns=["measure", "start", "state", "value"]))
    return verdict(found, checked, deciding_rate(facts)[1]).kind


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--diagnoses", type=int, default=100, help="made-up diagnoses of each cell")
    arguments = command.parse_args()
    table = []
    for name, (share, right) in TRUTHS.items():
        cells = []
        for units in UNITS:
            generator = np.random.default_rng([units, round(100 * share)])
            kinds = Counter(said(made_up(share, units, generator), units) for _ in range(arguments.diagnoses))
            wrong = sum(count for kind, count in kinds.items() if kind not in (right, "cannot be said"))
            cells.append(f"{kinds[right]} right, {kinds['cannot be said']} cannot be said, {wrong} wrong")
        table.append([name, *cells])
    print_table(f"{arguments.diagnoses} made-up diagnoses a cell, by measured units", ["what is true", *map(str, UNITS)], table)


if __name__ == "__main__":
    main()
