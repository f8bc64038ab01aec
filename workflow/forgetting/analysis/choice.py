"""Which arm of each family stands for it in the comparison: decided on `task0_val` alone, never on what is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forgetting.analysis.curves import at_step, first_reaching
from forgetting.data.points import curve, matched_step

CHOSEN_ON = "task0_val"


def choose(metrics: pd.DataFrame, families: Mapping[str, Sequence[str]], matched_accuracy: float) -> pd.DataFrame:
    """Rows of CHOICE, one an arm of `families`. `metrics`: METRICS of all their Task 1 runs, of all seeds.

    In a family in which some arm learned Task 1 in every seed, the highest `task0_val` exact match at matched Task 1 wins, among such arms;
    in one where none did, the highest mean of `task0_val` and Task 1 at the end. Ties go to the first in the family.
    """
    by_arm = {arm: [run for _, run in runs.groupby("seed")] for arm, runs in metrics.groupby("arm")}
    frames = [_choose_one(family, arms, by_arm, matched_accuracy) for family, arms in families.items()]
    return pd.concat(frames, ignore_index=True).assign(scale=metrics["scale"].iloc[0])


def _choose_one(family: str, arms: Sequence[str], by_arm: Mapping[str, list[pd.DataFrame]], matched_accuracy: float) -> pd.DataFrame:
    learned = {arm: not any(np.isnan(matched_step(run)) for run in by_arm[arm]) for arm in arms}
    matched = any(learned.values())
    score = _at_matched if matched else _at_end
    criterion = {arm: float(np.mean([score(run, matched_accuracy) for run in by_arm[arm]])) for arm in arms}
    ranked = [arm for arm in arms if learned[arm]] if matched else list(arms)
    best = max(ranked, key=lambda arm: criterion[arm])
    ranked_by = (
        f"{CHOSEN_ON} exact match where Task 1 reaches {100 * matched_accuracy:g} %"
        if matched
        else f"mean of {CHOSEN_ON} and Task 1 exact match at the end, since no arm of the family learned Task 1 in every seed"
    )
    reasons = {arm: f"not the highest {ranked_by}" for arm in ranked} | {best: f"the highest {ranked_by}"}
    if len(arms) == 1:
        reasons[best] = "the only arm of its family"
    rows = [
        {
            "family": family,
            "arm": arm,
            "chosen": arm == best,
            "learned": learned[arm],
            "criterion": criterion[arm],
            "reason": reasons.get(arm, "Task 1 was not learned in every seed"),
        }
        for arm in arms
    ]
    return pd.DataFrame(rows)


def _at_matched(run: pd.DataFrame, matched_accuracy: float) -> float:
    """NaN where Task 1 never reaches that accuracy."""
    return at_step(curve(run, CHOSEN_ON), first_reaching(curve(run, "task1"), matched_accuracy)).value


def _at_end(run: pd.DataFrame, matched_accuracy: float) -> float:
    return float(np.mean([curve(run, split)["value"].iloc[-1] for split in (CHOSEN_ON, "task1")]))
