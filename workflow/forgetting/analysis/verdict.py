"""The verdicts of the study: on every arm, what Task 1 took from Task 0 and what of it was lost; on the paper's theory, what holds.

An arm is judged at two times. *early*: the trough, for the common shift the early point itself.
*late*: the end of the run. Accuracies are exact match on `task0_test`. (No torch.)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.analysis.propositions import STATISTICS, theory_verdicts
from forgetting.analysis.spurious import EARLY_STEPS, probe_points, recovery_summary
from forgetting.analysis.standing import against_controls
from forgetting.analysis.summary import combine_seeds, probe_accuracies
from forgetting.analysis.words import OTHER_FLOOR, OWN_FLOOR, conclusion
from forgetting.data.points import TASK1_EARLY, TASK1_END, TASK1_MATCHED, TIMES, WORDS, floor_of, never_had_task0, own_floor, point_of
from forgetting.intervals import Interval

GROUPING = "kind_position"
"""What counts as common in the verdict: a change that is the same for all units at a kind and place in the answer."""
SHIFTS = {
    "common_share": ("common_share", "logits"),
    "restored_share": ("restored_share", "logits"),
    "stream_restored_share": ("restored_share", "residual_stream"),
}
"""Name of a number on the common shift: its metric in COMMON_SHIFT, and the space of the change."""
_RUN, _POINT = ["seed", "arm"], ["seed", "arm", "point"]
_ANSWERS = ["drop", "spurious_share", "floor_share", "kept_beyond_floor", "area_beyond_floor", "beyond_floor"]
"""What answers, of each time; the table begins with it."""
_OF_RUN = ["learned", "before", "pretrained", "random"]
_OF_TIME = ["checkpoint", "recovered", "floor", "control_persons", "shuffled", "beyond_pretrained"]
_OF_TIME += ["early_area", "area_pretrained", "area_floor", "area_beyond_pretrained"]
_OF_TIME += ["savings", "savings_at_least", "savings_at_most"]
_OF_TIME += [*SHIFTS]
_AFTER = {name: WORDS[point_of(name)] for name in (TASK1_EARLY, TASK1_MATCHED, TASK1_END)}


def verdict_table(
    metrics: pd.DataFrame,
    recovery: pd.DataFrame,
    recovery_facts: pd.DataFrame,
    common_shift: pd.DataFrame,
    early_steps: int = EARLY_STEPS,
) -> pd.DataFrame:
    """One row an arm that was recovered and had Task 0: its conclusion, the numbers that it follows from, with their intervals, and
    the arm that is its floor (`floor_of`; none: empty). What answers (drop, spurious and floor share, and how far beyond the floor it is)
    stands first.

    Frames: METRICS, RECOVERY and RECOVERY_FACTS (the last two with the controls), COMMON_SHIFT; what the last does not hold of an
    arm is NaN. Columns of one time begin with `early_` or `late_`. Intervals: Student's t over seeds, with one seed over units, and
    then the conclusion is one on this run.
    recovered: after one epoch from there, control_persons and shuffled likewise; drop, floor, kept_beyond_floor, early_area and what stands
    against the controls: see `against_controls`; spurious_share, floor_share, savings: see `recovery_summary`; common_share and
    restored_share of the logits, stream_restored_share of the residual stream: see COMMON_SHIFT.
    """
    points = probe_points(metrics, recovery)
    points = points[points["point"].isin(TIMES)]
    found = recovery_summary(recovery_facts, points)
    for part in (probe_accuracies(recovery, points), against_controls(recovery_facts, points, early_steps)):
        found = found.merge(part, on=_POINT)
    found = found[~found["arm"].map(never_had_task0).astype(bool)]
    found = found.assign(point=found["point"].map(TIMES))
    found = found.merge(_shifts(common_shift), on=_POINT, how="left")
    runs = found.loc[found["point"] == "early", [*_RUN, *_with_ends(found, _OF_RUN)]]
    for time in ("early", "late"):
        names = _with_ends(found, [*_ANSWERS, *_OF_TIME])
        here = found.loc[found["point"] == time, [*_RUN, *names]]
        runs = runs.merge(here.rename(columns={name: f"{time}_{name}" for name in names}), on=_RUN)
    answers, others = ([f"{time}_{name}" for time in ("early", "late") for name in names] for names in (_ANSWERS, _OF_TIME))
    values = [*answers, *_OF_RUN, *others]
    table = combine_seeds(runs, ["arm"], values).copy()  # of one block, which takes another column better
    floors = [floor_of(arm, set(recovery["arm"])) or "" for arm in table["arm"]]
    said = []
    for floor, (_, row) in zip(floors, table.iterrows(), strict=True):
        text = conclusion(_intervals(row, values), OWN_FLOOR if own_floor(row["arm"], floor) else OTHER_FLOOR)
        said.append(f"In this run: {text}" if row["seeds"] == 1 else text)
    table.insert(1, "conclusion", said)
    return table.assign(floor_arm=floors)


def theory_table(theory: pd.DataFrame) -> pd.DataFrame:
    """The verdicts on the paper's three propositions, by statistic, arm and checkpoint, in the order in which the paper and the study have
    them. `theory`: rows of THEORY; columns as in THEORY_VERDICTS, and how many seeds there are."""
    found = theory_verdicts(theory)
    arms = list(dict.fromkeys([*theory["arm"], *found["arm"]]))
    orders = {"statistic": [statistic.name for statistic in STATISTICS], "arm": arms, "after": list(_AFTER)}
    for name, order in orders.items():
        found[name] = pd.Categorical(found[name], order)
    found = found.sort_values(list(orders), ignore_index=True).astype(dict.fromkeys(orders, str))
    found = found.assign(proposition=found["proposition"].map(str), after=found["after"].map(_AFTER), seeds=theory["seed"].nunique())
    names = ["proposition", "asks", "statistic", "arm", "after", "value", "low", "high", "reference", "verdict", "seeds"]
    return found[names]


def freezing_table(theory: pd.DataFrame) -> pd.DataFrame:
    """Of `theory_table` what is about the third proposition."""
    table = theory_table(theory)
    return table[table["proposition"] == "3"].reset_index(drop=True)


def _shifts(common_shift: pd.DataFrame) -> pd.DataFrame:
    """seed, arm, point (early, late) and the numbers of SHIFTS with their ends, of all kinds."""
    chosen = (common_shift["grouping"] == GROUPING) & (common_shift["kind"] == "all")
    rows = common_shift[chosen].assign(point=common_shift["point"].map(TIMES)).dropna(subset="point")
    found = rows[_POINT].drop_duplicates()
    for name, (metric, space) in SHIFTS.items():
        of_space = rows[(rows["metric"] == metric) & (rows["space"] == space)]
        found = found.merge(_renamed(of_space, name), on=_POINT, how="left")
    return found


def _renamed(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The keys and value, low, high, renamed after what the value is."""
    return rows[[*_POINT, "value", "low", "high"]].rename(columns=dict(zip(("value", "low", "high"), _ends(name), strict=True)))


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _with_ends(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """The columns `names` and those of their intervals that the frame has."""
    return [column for name in names for column in _ends(name) if column in frame]


def _intervals(row: pd.Series, names: list[str]) -> dict[str, Interval]:
    return {name: Interval(*(float(row.get(end, np.nan)) for end in _ends(name))) for name in names}
