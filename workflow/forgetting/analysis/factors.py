"""The crossed experiment of values and format (docs/definitions.md): what becomes of Task 0 in each cell, by half of the values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forgetting.analysis.curves import Point, at_step, trough
from forgetting.analysis.spurious import Probes, floor_probe, probe_facts, probe_points, probes_by_checkpoint
from forgetting.analysis.standing import with_ends
from forgetting.analysis.summary import combine_seeds
from forgetting.data.cells import FORMATS, VALUES, factors_of_arm
from forgetting.data.points import END, TROUGH, curve, floor_of, never_had_task0
from forgetting.intervals import Interval, Measures, clustered_wilson, summarise
from forgetting.schemas.facts import ACCURACY
from forgetting.statistics import paired_difference

BOTH = "both"
HALVES = ("A", "B", BOTH)
_RIGHT = Measures(accuracy=ACCURACY, proportions=(ACCURACY,), means=())
_RUN = ["seed", "arm", "half"]
_UNDEFINED = Interval(np.nan, np.nan, np.nan)


def by_half(facts: pd.DataFrame, halves: pd.DataFrame) -> pd.DataFrame:
    """The facts of `task0_test` with a column half, each fact once with the half of its unit and once with BOTH; of the arms of this
    experiment alone.

    facts: columns seed, arm, unit, split. halves: HALVES_OF_UNITS.
    """
    of_experiment = facts["arm"].map({arm: factors_of_arm(arm) is not None for arm in facts["arm"].unique()})
    rows = facts[(facts["split"] == "task0_test") & of_experiment].merge(halves[["seed", "unit", "half"]], on=["seed", "unit"])
    return pd.concat([rows, rows.assign(half=BOTH)], ignore_index=True)


def half_curves(facts: pd.DataFrame, halves: pd.DataFrame) -> pd.DataFrame:
    """Task 0 exact match over the steps of each run: columns seed, arm, half (HALVES), step, value, low, high. facts: FACTS."""
    found = summarise(by_half(facts, halves), [*_RUN, "step"], _RIGHT)
    return found.loc[found["kind"] == "all", [*_RUN, "step", "value", "low", "high"]].sort_values([*_RUN, "step"], ignore_index=True)


def factor_runs(
    metrics: pd.DataFrame, facts: pd.DataFrame, halves: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame
) -> pd.DataFrame:
    """One row a seed, arm that had Task 0, and half, with the numbers of `factor_table`."""
    curves = {key: rows for key, rows in half_curves(facts, halves).groupby(_RUN)}
    answers = {key: rows for key, rows in by_half(facts, halves).groupby(_RUN)}
    points = probe_points(metrics, recovery)
    probes = probes_by_checkpoint(by_half(probe_facts(recovery_facts), halves))
    task1 = {key: curve(run, "task1") for key, run in metrics.groupby(["seed", "arm"])}
    rows = []
    for seed, arm, half in curves:
        if never_had_task0(arm):
            continue
        floor = floor_of(arm, {other for _, other, _ in curves})
        of_floor = (curves.get((seed, floor, half)), answers.get((seed, floor, half)))
        numbers, step = _of_curve(curves[seed, arm, half], answers[seed, arm, half], *of_floor)
        for name, run in (("trough_first_token", arm), ("trough_first_token_floor", floor)):
            numbers[name] = _first_token(answers.get((seed, run, half)), step)
        there, end = at_step(task1[seed, arm], step), task1[seed, arm].iloc[-1]
        numbers |= {"trough_task1": Interval(*there[1:]), "task1_final": Interval(end["value"], end["low"], end["high"])}
        for point, name in ((TROUGH, "early"), (END, "late")):
            numbers |= _recovered(probes, points, (seed, arm, half), point, name)
        values, form = factors_of_arm(arm) or ("", "")
        row: dict[str, Any] = {"seed": seed, "arm": arm, "values": values, "format": form, "half": half, "trough_step": step}
        rows.append(row | with_ends(numbers))
    order = {name: place for names in (VALUES, FORMATS, HALVES) for place, name in enumerate(names)}
    return pd.DataFrame(rows).sort_values(["format", "values", "half", "seed"], key=lambda column: column.replace(order), ignore_index=True)


def factor_table(
    metrics: pd.DataFrame, facts: pd.DataFrame, halves: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame
) -> pd.DataFrame:
    """One row a cell and half, over seeds. Task 0 exact match: before; trough, at trough_step; trough_floor, the floor at that step;
    trough_beyond_floor, the difference of the same units; of both also the first token of the answer (trough_first_token,
    trough_first_token_floor), which a failure to stop cannot spoil; rebound, how far it rises again at any later evaluation; final, and
    final_floor. Task 1 exact match in the format that it trains: trough_task1, at that step; task1_final. After one epoch of recovery, from
    the trough among the checkpoints (early) and from the end (late): early_recovered, late_recovered, and of the floor early_floor,
    late_floor."""
    values = ["before", "trough", "trough_step", "trough_floor", "trough_beyond_floor"]
    values += ["trough_first_token", "trough_first_token_floor", "trough_task1"]
    values += ["rebound", "early_recovered", "early_floor"]
    values += ["final", "final_floor", "task1_final", "late_recovered", "late_floor"]
    runs = factor_runs(metrics, facts, halves, recovery, recovery_facts)
    return combine_seeds(runs, ["format", "values", "half", "arm"], values)


FORMAT, COMMON_SHIFT = "format_account", "common_shift"
AS_PREDICTED, OTHERWISE, CANNOT_SAY = "as predicted", "otherwise", "cannot say"
COLLAPSE, HOLDS = 0.5, 0.75
"""Shares of what was known before: a collapse ends below the one, what holds stays above the other."""


def account_table(table: pd.DataFrame) -> pd.DataFrame:
    """What the two accounts of the loss (docs/findings.md, *Values or format?*) predict of each cell of `factor_table`, held against it:
    columns format, values, seeds; A, B: *collapse* or *holds*, by the whole interval of the trough, else *cannot say*; alike: whether the
    intervals of A and B overlap there; alike_beyond_floor: whether those of what each has beyond its floor do, as B, whose values Task 1
    teaches, is oftener right by chance (empty without floors); `FORMAT` and `COMMON_SHIFT`: AS_PREDICTED where all that the account says
    of the cell is so, OTHERWISE where something is not, CANNOT_SAY where an interval leaves it open.
    """
    halves = {
        (form, values, half): row
        for form, values, half, row in zip(table["format"], table["values"], table["half"], table.to_dict("records"), strict=True)
    }
    rows = []
    for form, values in dict.fromkeys(zip(table["format"], table["values"], strict=True)):
        a, b, both = (halves[form, values, half] for half in HALVES)
        alike = _overlap(a, b, "trough")
        no_collapse = [_no(_below(half, "trough", COLLAPSE)) for half in (a, b)]
        same = halves.get(("same", values, BOTH))
        of_format = {
            "same": [_below(a, "trough", COLLAPSE), _below(b, "trough", COLLAPSE), alike],
            "other": [alike, None if same is None else _apart(both, same)],
            "statement": no_collapse,
        }[form]
        declines = [_below(half, "final", 1.0) for half in (a, b)]
        a_returns = [_below(a, "trough", COLLAPSE), True if a["rebound_low"] > 0 else None]
        of_shift = [*no_collapse, *declines, alike] if values == "all" else [*a_returns, _no(_below(b, "trough", HOLDS))]
        beyond = "" if pd.isna(a.get("trough_beyond_floor_low")) else _YES[_overlap(a, b, "trough_beyond_floor")]
        reading = {"A": _words(a), "B": _words(b), "alike": _YES[alike], "alike_beyond_floor": beyond}
        accounts = {FORMAT: _verdict(of_format), COMMON_SHIFT: _verdict(of_shift)}
        rows.append({"format": form, "values": values, **reading, **accounts, "seeds": a["seeds"]})
    return pd.DataFrame(rows)


def _below(row: dict[str, Any], column: str, share: float) -> bool | None:
    """Is a number below this share of what was known before, by its whole interval? None where it has both sides in it."""
    limit = share * row["before"]
    return True if row[f"{column}_high"] < limit else False if row[f"{column}_low"] >= limit else None


def _overlap(row: dict[str, Any], other: dict[str, Any], column: str) -> bool:
    return bool(row[f"{column}_low"] <= other[f"{column}_high"] and other[f"{column}_low"] <= row[f"{column}_high"])


_YES = {True: "yes", False: "no"}


def _apart(row: dict[str, Any], other: dict[str, Any]) -> bool | None:
    """Is the trough of one above that of the other? None where the intervals overlap."""
    return True if row["trough_low"] > other["trough_high"] else False if row["trough_high"] < other["trough_low"] else None


def _no(said: bool | None) -> bool | None:
    return None if said is None else not said


def _words(row: dict[str, Any]) -> str:
    if _below(row, "trough", COLLAPSE):
        return "collapse"
    return "holds" if _below(row, "trough", HOLDS) is False else CANNOT_SAY


def _verdict(parts: list[bool | None]) -> str:
    if False in parts:
        return OTHERWISE
    return CANNOT_SAY if None in parts else AS_PREDICTED


def _of_curve(
    rows: pd.DataFrame, answers: pd.DataFrame, floor: pd.DataFrame | None, floor_answers: pd.DataFrame | None
) -> tuple[dict[str, Interval], float]:
    """What one curve and that of its floor say, and the step of the trough."""
    lowest = trough(rows)
    later = rows[rows["step"] >= lowest.step]
    highest = later.loc[later["value"].idxmax(), "step"]
    right = answers.groupby(["step", "unit"])[ACCURACY].mean()
    of_floor = None if floor_answers is None else floor_answers.groupby(["step", "unit"])[ACCURACY].mean()
    asked, at_trough = int(answers.groupby(["step", "unit"]).size().iloc[0]), right[int(lowest.step)].to_numpy()
    end = rows.iloc[-1]
    found = {
        "before": _interval(at_step(rows, 0)),
        "trough": _interval(lowest),
        "trough_floor": _UNDEFINED if floor is None else _interval(at_step(floor, lowest.step)),
        "trough_beyond_floor": _UNDEFINED
        if of_floor is None
        else paired_difference(at_trough, of_floor[int(lowest.step)].to_numpy(), asked),
        "rebound": paired_difference(right[highest].to_numpy(), at_trough, asked),
        "final": Interval(end["value"], end["low"], end["high"]),
        "final_floor": _UNDEFINED if floor is None else _interval(at_step(floor, end["step"])),
    }
    return found, lowest.step


def _first_token(answers: pd.DataFrame | None, step: float) -> Interval:
    """How often the first token of the answer is right at a step; undefined without answers."""
    if answers is None:
        return _UNDEFINED
    there = answers[answers["step"] == step]
    return clustered_wilson(there["first_token_hard"].to_numpy(float), there["unit"])


def _recovered(probes: Probes, points: pd.DataFrame, run: tuple[int, str, str], point: str, name: str) -> dict[str, Interval]:
    """One epoch of recovery from one point of a run, and from that of its floor."""
    seed, arm, half = run
    place = points[(points["seed"] == seed) & (points["arm"] == arm) & (points["point"] == point)].iloc[0].to_dict()
    starts = {"recovered": probes[seed, arm, place["checkpoint"]], "floor": floor_probe(probes, points, place)}
    found = {}
    for what, probe in starts.items():
        after = None if probe is None else probe[(probe["half"] == half) & np.isclose(probe["epochs"], 1)]
        found[f"{name}_{what}"] = _UNDEFINED if after is None else clustered_wilson(after[ACCURACY].to_numpy(float), after["unit"])
    return found


def _interval(point: Point) -> Interval:
    return Interval(point.value, point.low, point.high)
