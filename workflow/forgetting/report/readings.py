"""What the tables of a study say to each claim of the paper, and to those that this project made earlier, by the rule that docs/claims.yaml
and docs/earlier-claims.yaml state with it. (No torch.)

Words: *holds*, *does not hold*, *cannot say*; of a single seed never without *in this run*, since seeds differ by more than persons do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from forgetting.analysis.summary import SUMMARISED
from forgetting.config.fields import NotNegative, Strict, one_line_each
from forgetting.errors import StudyError
from forgetting.intervals import Interval

Tables = Mapping[str, pd.DataFrame]
"""Tables of a study by name, as `forgetting.analysis.summary.save_table` writes them (CSV)."""
NOT_RUN = "not run yet"
NOT_MEASURED = "not measured"
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot say"
DOES_NOT_APPLY, NEAR = "does not apply", ", but a harder control is not surely less"


class Place(Strict):
    """A cell of a table: the row in which the columns of `row` have these values, and a column."""

    table: str
    row: dict[str, str]
    column: str


class Floor(Place):
    """What a number has to beat to mean anything, with a name for it. headline: whether README.md shows it. judged: whether the rule is put
    to it, too, as to a control that the claim is not about. harder: a control that is not the rule's, but that a number which holds
    should differ from as well."""

    name: str
    headline: bool = False
    judged: bool = False
    harder: bool = False


class Rule(Strict):
    """above, below: the whole interval must lie on that side of a number, or of another cell's interval. about: it must lie within `within`
    of the number; outside altogether, the claim does not hold. Between, nothing can be said; nor outside, where the measurement could
    show the claim and not its opposite (`one_way`)."""

    above: float | Place | None = None
    below: float | Place | None = None
    about: float | None = None
    within: NotNegative = 0.05
    one_way: bool = False

    @model_validator(mode="after")
    def _one_of_three(self) -> Rule:
        if sum(side is not None for side in (self.above, self.below, self.about)) != 1:
            raise ValueError("give one of above, below and about")
        return self


class Premise(Strict):
    """What has to be so for a claim to apply: a number, and the rule by which it is."""

    measured: Place
    holds: Rule


class Claim(Strict):
    """claim: in words. stated: its own number, where it gives one. source: where the paper makes it. known_through: how its text was read.
    quantity: what the number is, where it is no accuracy on Task 0. measured: the number here; none where it is not measured, for a reason
    in `note`. premise: without which it does not apply. gate: whether a study stops where it does not hold, so that it was asked for and
    not found. headline: whether README.md shows it."""

    claim: str
    stated: str = ""
    source: str = ""
    known_through: str = ""
    headline: bool = False
    gate: bool = False
    quantity: str = ""
    measured: Place | None = None
    holds: Rule | None = None
    premise: Premise | None = None
    floors: list[Floor] = Field([])
    places: Annotated[int, Field(ge=0, le=4)] = 3
    note: str = ""

    @model_validator(mode="after")
    def _a_number_has_a_rule(self) -> Claim:
        if (self.measured is None) != (self.holds is None):
            raise ValueError("measured and holds belong together")
        if self.measured is None and not self.note:
            raise ValueError("note must say why this is not measured")
        return self


class Found(NamedTuple):
    """A cell that was found: its number, interval (NaN where unknown), and in how many of how many seeds it is defined."""

    value: float
    low: float
    high: float
    reached: int
    seeds: int

    @property
    def interval(self) -> Interval:
        """With ends at the value where they are unknown."""
        return Interval(self.value, *(self.value if np.isnan(end) else end for end in (self.low, self.high)))


def read_claims(path: str | Path) -> list[Claim]:
    """The claims in such a file, in order. Raises StudyError that names a file that is not such a list, and where."""
    try:
        return TypeAdapter(list[Claim]).validate_python(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except ValidationError as error:
        raise StudyError(f"{path}:\n{one_line_each(error)}") from None
    except (OSError, yaml.YAMLError) as error:
        raise StudyError(f"{path}: not a list of claims ({error})") from None


def rows_of(table: pd.DataFrame, row: Mapping[str, object]) -> pd.DataFrame:
    """The rows that have these values, compared as text. Raises StudyError for a column that the table does not have."""
    if missing := [name for name in row if name not in table]:
        raise StudyError(f"a table has no column {missing[0]!r}; it has {', '.join(table)}")
    chosen = np.ones(len(table), dtype=bool)
    for name, value in row.items():
        chosen &= (table[name].astype(str) == str(value)).to_numpy()
    return table[chosen]


def find(tables: Tables, place: Place) -> Found | None:
    """The cell at a place; None where its table or its row is not there, nor, in a table that was made before there was such a number, its
    column. Raises StudyError for a column that no table has, or where two rows fit."""
    if place.table not in tables:
        return None
    table = tables[place.table]
    rows = rows_of(table, place.row)
    if place.column not in table:
        if place.column in SUMMARISED:
            return None
        raise StudyError(f"table {place.table} has no column {place.column!r}; it has {', '.join(table)}")
    if len(rows) > 1:
        raise StudyError(f"table {place.table} has {len(rows)} rows with {place.row}")
    return None if rows.empty else found_in(rows.iloc[0], place.column)


def found_in(row: pd.Series, column: str) -> Found:
    """A number of one row with its interval, from `low`, `high` or `<column>_low`, `<column>_high`, and its seeds, from `seeds` and
    `<column>_seeds`."""

    def number(name: str, otherwise: float) -> float:
        found = row.get(name, otherwise)
        return otherwise if pd.isna(found) else float(found)

    ends = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    value, seeds = number(column, np.nan), int(number("seeds", 1))
    reached = int(number(f"{column}_seeds", 0 if np.isnan(value) else seeds))
    return Found(value=value, low=number(ends[0], np.nan), high=number(ends[1], np.nan), reached=reached, seeds=seeds)


def reading(found: Found | None, rule: Rule, tables: Tables) -> str:
    """What a number says to a claim."""
    if found is None:
        return NOT_RUN
    if np.isnan(found.value):
        return f"{OPEN}: not reached"
    limits = _limits(rule, tables)
    if isinstance(limits, str):
        return limits
    if found.reached > 1 and np.isnan(found.low):
        return f"{OPEN}: no interval"
    return _word(found.interval, rule, limits) + ("" if found.reached > 1 else " in this run")


def _limits(rule: Rule, tables: Tables) -> Interval | str:
    """What a number is held against; or, in words, why there is nothing."""
    bound = rule.about if rule.about is not None else rule.above if rule.above is not None else rule.below
    if isinstance(bound, Place):
        other = find(tables, bound)
        if other is None:
            return f"{NOT_RUN}: what it is held against"
        return f"{OPEN}: what it is held against was not reached" if np.isnan(other.value) else other.interval
    assert bound is not None
    return Interval(bound, bound - rule.within, bound + rule.within) if rule.about is not None else Interval(bound, bound, bound)


def _word(number: Interval, rule: Rule, limits: Interval) -> str:
    above, below = number.low > limits.high, number.high < limits.low
    if rule.about is not None:
        inside = limits.low <= number.low and number.high <= limits.high
        return HOLDS if inside else FAILS if above or below else OPEN
    if not (above or below):
        return OPEN
    return HOLDS if above == (rule.above is not None) else OPEN if rule.one_way else FAILS


def judgement(claim: Claim, tables: Tables) -> str:
    """The reading of a claim, and what takes from it: that a gate asked for it, that a control does as much, or that it is not told from
    a harder one."""
    if claim.measured is None or claim.holds is None:
        return NOT_MEASURED
    if claim.premise and reading(find(tables, claim.premise.measured), claim.premise.holds, tables).startswith(FAILS):
        return f"{DOES_NOT_APPLY}: its premise is not met"
    rule, found = claim.holds, find(tables, claim.measured)
    said = reading(found, rule, tables)
    if found is None or not said.startswith(HOLDS):
        return said
    limits, controls = _limits(rule, tables), (find(tables, floor) for floor in claim.floors if floor.judged)
    harder = (find(tables, floor) for floor in claim.floors if floor.harder)
    near = any(
        control and control.interval.low <= found.interval.high and control.interval.high >= found.interval.low for control in harder
    )
    assert not isinstance(limits, str)
    # A control whose interval is not known is taken at its value: to be warned without need is the smaller error.
    as_much = any(control and not np.isnan(control.value) and _word(control.interval, rule, limits) == HOLDS for control in controls)
    return said + (", as a gate asks" if claim.gate else "") + (", for a control too" if as_much else "") + (NEAR if near else "")


def rule_text(rule: Rule, floors: Iterable[Floor]) -> str:
    """The rule in words: another cell has its name among `floors`, else its place."""
    if rule.about is not None:
        return f"within {rule.within:g} of {rule.about:g}"
    side, bound = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    if isinstance(bound, Place):
        named = [floor.name for floor in floors if (floor.table, floor.row, floor.column) == (bound.table, bound.row, bound.column)]
        text = f"{side} {named[0]}" if named else f"{side} `{bound.column}` of {', '.join(bound.row.values())}"
    else:
        text = f"{side} {bound:g}"
    return f"{text}, one way" if rule.one_way else text
