"""The tables of a diagnosis's page: which remedy is marked, and when none is."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.analysis.test_diagnosis_rules import FAST, FLAT, KNOWN, curve, new_task

from forgetting.data.probed import NEW, TEST
from forgetting.intervals import Interval
from forgetting.report.diagnosis import frontier_table
from forgetting.report.html import interval, number
from forgetting.schemas.diagnosis import REMEDIES


def table(interpolated: dict[float, tuple[float, float]], new_recovered: float) -> pd.DataFrame:
    """The frontier of a model that has 0.05 of the old task and 0.9 of the new one, and once recovered 0.95 and `new_recovered`.
    interpolated: old and new accuracy by the share of the update that is taken back."""
    ends = [new_task("before", 0.0), new_task("after", 0.9), new_task("after", new_recovered).assign(step=60)]
    facts = pd.concat([curve("before", KNOWN), curve("after", FAST), curve("random", FLAT), *ends], ignore_index=True)
    rows = [
        ("interpolation", "all", share, False, split, value, value, value, 60)
        for share, values in interpolated.items()
        for split, value in zip((TEST, NEW), values, strict=True)
    ]
    return frontier_table(facts, pd.DataFrame(rows, columns=REMEDIES.names))


def test_the_highest_sum_is_marked_once() -> None:
    found = table({0.1: (0.25, 1.0), 0.2: (0.5, 0.75), 0.9: (0.9, 0.0)}, new_recovered=0.0)
    assert found.loc[found["best"], "amount"].tolist() == [0.1]
    assert found.loc[found["best"], ["regained", "new_lost"]].to_numpy()[0] == pytest.approx([0.2, -0.1])
    assert table({0.1: (0.3, 0.9)}, new_recovered=0.8)["best"].tolist() == [False, False, True, False]


def test_without_new_examples_no_remedy_is_marked_as_nobody_knows_its_cost() -> None:
    facts = pd.concat([curve("before", KNOWN), curve("after", FAST), curve("random", FLAT)], ignore_index=True)
    rows = [("interpolation", "all", 0.9, False, TEST, 0.94, 0.9, 0.96, 60)]
    found = frontier_table(facts, pd.DataFrame(rows, columns=REMEDIES.names))
    assert found["new"].isna().all() and not found["best"].any()


def test_numbers_have_no_negative_zero() -> None:
    assert number(-0.001) == "0.00" and interval(Interval(-0.1, -0.2, -0.001)) == "[-0.20, 0.00]"


def test_no_remedy_is_marked_where_each_costs_what_it_brings() -> None:
    assert not table({0.1: (0.05, 0.9), 0.2: (0.15, 0.8), 0.9: (0.9, 0.0)}, new_recovered=0.0)["best"].any()
