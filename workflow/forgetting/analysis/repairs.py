"""What each repair of a Task 1 checkpoint brings back, beside its control and what it costs of Task 1 (docs/views.md)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from forgetting.analysis.spurious import probe_points
from forgetting.analysis.summary import combine_seeds
from forgetting.data.points import END, TIMES, TROUGH

_ENDS = ["value", "low", "high"]
_PLACE = ["seed", "arm", "time"]


class Repair(NamedTuple):
    """label: what tables and figures call it. where: the rows of its table that are it, by column. control: the same of its control; None
    where it has none. keeps_task1: the weights stay as they are, and with them Task 1."""

    label: str
    table: str
    where: dict[str, object]
    control: dict[str, object] | None = None
    keeps_task1: bool = False


def _edit(label: str, part: str, amount: int) -> Repair:
    rows = {"part": part, "amount": amount}
    return Repair(label, "graft", {"operation": "edit"} | rows, {"operation": "edit_random"} | rows)


def _back(label: str, part: str, **layer: int) -> Repair:
    rows: dict[str, object] = {"part": part, **layer}
    return Repair(label, "graft", {"operation": "back"} | rows, {"operation": "back_random"} | rows)


def _shift(label: str, known: int) -> Repair:
    rows: dict[str, object] = {"space": "residual_stream", "known": known}
    return Repair(label, "repair", {"counted": "units"} | rows, {"counted": "random"} | rows)


def _asked(label: str, form: str, control: str) -> Repair:
    return Repair(label, "recall", {"form": form}, {"form": control}, keeps_task1=True)


AS_IS, BEFORE = Repair("nothing done", "graft", {"operation": "none"}), Repair("before Task 1", "graft", {"operation": "start"})
REPAIRS = (
    _asked("1 solved question in the prompt", "in_context_1", "shuffled_1"),
    _asked("4 solved questions in the prompt", "in_context_4", "shuffled_4"),
    _asked("the fact itself in the prompt", "stated", "stated_of_another"),
    Repair(
        "choice among the values of its kind",
        "recall",
        {"form": "among_values"},
        {"form": "among_values", "split": "control"},
        keeps_task1=True,
    ),
    _shift("shift of 1 known person taken off", 1),
    _shift("shift of 16 known persons taken off", 16),
    _edit("1 direction of each update off, attention", "attention", 1),
    _edit("1 direction of each update off", "blocks", 1),
    _edit("8 directions of each update off", "blocks", 8),
    _back("norms put back", "norms"),
    _back("input embedding put back", "embedding"),
    _back("output embedding put back", "output_embedding"),
    _back("queries and keys put back", "query_key"),
    _back("values and attention outputs put back", "value_output"),
    _back("MLPs put back", "mlps"),
    _back("first block put back", "block", layer=1),
    Repair("half of the whole update off", "graft", {"operation": "interpolation", "amount": 0.5}),
    Repair("recovery, one epoch about 1 person", "recovery", {"training": "dose", "units": 1}),
    Repair("recovery, one epoch", "recovery", {"training": "right"}, {"training": "shuffled"}),
)
"""From what leaves the weights alone to what trains them."""


def repair_runs(
    graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame
) -> pd.DataFrame:
    """One row a seed, arm, time (early, late) and repair that was measured: place (in REPAIRS; -2 before Task 1, -1 nothing done), repair
    (its label), and exact match with ends: task0, task0_random (its control; NaN without one) and task1 (NaN where it was not asked)."""
    tables = _at_both_times(graft, recall, repair, metrics, recovery)
    rows = []
    for place, each in ((-2, BEFORE), (-1, AS_IS), *enumerate(REPAIRS)):
        found = _found(tables, each.table, {"split": "task0_test"} | each.where, "task0")
        if found.empty:
            continue
        control = _found(tables, each.table, {"split": "task0_test"} | (each.control or {"split": "none"}), "task0_random")
        weights = AS_IS if each.keeps_task1 else each
        task1 = _found(tables, weights.table, weights.where | {"split": "task1"}, "task1")
        for more in (control, task1):
            found = found.merge(more, on=_PLACE, how="left")
        rows.append(found.assign(place=place, repair=each.label))
    return pd.concat(rows, ignore_index=True)


def repair_table(
    graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame
) -> pd.DataFrame:
    """`repair_runs` over seeds, one row a time and repair."""
    runs = repair_runs(graft, recall, repair, metrics, recovery).sort_values(["time", "place"])
    everywhere = runs.groupby(["time", "place"])["seed"].transform("nunique") == runs["seed"].nunique()
    return combine_seeds(runs[everywhere], ["arm", "time", "repair"], ["task0", "task0_random", "task1"])


def _at_both_times(
    graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Exact match over all kinds of each table, with a column time. Early is the trough, or step 150 where a view looks at that."""
    points = probe_points(metrics, recovery)
    points = points[points["point"].isin([TROUGH, END])][["seed", "arm", "checkpoint", "point"]]
    after = recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)].merge(points, on=["seed", "arm", "checkpoint"])
    tables = {"graft": graft.assign(kind="all"), "recall": recall, "repair": repair.assign(split="task0_test"), "recovery": after}
    found = {}
    for name, table in tables.items():
        rows = table[(table["metric"] == "exact_match") & (table["kind"] == "all") & table["point"].isin(list(TIMES))]
        found[name] = rows.assign(time=rows["point"].map(TIMES))
    return found


def _found(tables: dict[str, pd.DataFrame], name: str, where: dict[str, object], called: str) -> pd.DataFrame:
    """The rows of a table with these values: columns _PLACE and the number, with ends, as `called`."""
    rows = tables[name]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    named = {end: called if end == "value" else f"{called}_{end}" for end in _ENDS}
    return rows[[*_PLACE, *_ENDS]].rename(columns=named).drop_duplicates(_PLACE)
