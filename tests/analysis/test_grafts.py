from __future__ import annotations

import pandas as pd
import pytest
from tests.figures.synthetic_views import graft_rows

from forgetting.analysis.grafts import graft_table

KEYS = ["arm", "point", "operation", "part", "layer", "amount"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_each_operation_stands_beside_its_control(seeds: int) -> None:
    graft = pd.concat([graft_rows(arm, seed) for arm in ("seq", "freeze-2") for seed in range(seeds)])
    table = graft_table(graft).set_index(KEYS)
    shift = 0.01 * (seeds - 1) / 2
    block = table.loc["seq", "trough", "back", "block", 1, -1.0]
    assert block[["task0", "task0_random", "common_share"]].tolist() == pytest.approx([0.8 + shift, 0.15 + shift, 0.7 + shift])
    assert block["update_share"] == pytest.approx(0.2)
    assert 0 < block["task0_low"] < block["task0"] < block["task0_high"] < 1
    assert table.loc["seq", "end", "edit", "blocks", -1, 2.0]["task0_random"] == pytest.approx(0.1 + shift)
    assert table["task0_floor"].loc["seq", "trough", "back", "block", [1, 2], -1.0].tolist() == pytest.approx([0.25 + shift, 0.08 + shift])
    for column in ("task0_pretrained", "task0_pretrained_floor"):
        assert table[column].loc["seq", "trough", "back", "block", [1, 2], -1.0].tolist() == pytest.approx([0.6 + shift, 0.09 + shift])
        assert table[column].loc["seq", "trough", "back", ["attention", "mlps"]].isna().all()
    for column in ("task0_of_floor", "task0_into_pretrained"):
        assert table[column].loc["seq", "trough", "back", "block", [1, 2], -1.0].tolist() == pytest.approx([0.3 + shift, 0.05 + shift])
    assert table.loc["seq", "trough", "none", "all", -1, -1.0]["task0_into_pretrained"] == pytest.approx(0.01 + shift)
    assert table.loc["seq", "trough", "none", "all", -1, -1.0]["task0_floor"] == pytest.approx(0.07 + shift)
    assert table.loc["seq", "end", "interpolation", "all", -1, 0.5][["task0_random", "task0_floor"]].isna().all()
    assert not set(table.index.get_level_values("operation")) & {"back_random", "edit_random", "into_floor", "floor", "pretrained"}
    assert len(table) == len(table.index.unique()) and set(table.index.get_level_values("arm")) == {"seq", "freeze-2"}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_repair_stands_beside_the_straight_way_where_that_has_as_much_of_task_1(seeds: int) -> None:
    """The straight way has 0.55 there: two directions taken away are below it, eight above."""
    table = graft_table(pd.concat([graft_rows("seq", seed) for seed in range(seeds)])).set_index(KEYS)
    shift = 0.01 * (seeds - 1) / 2
    below, above = (table.loc["seq", "end", "edit", "blocks", -1, amount] for amount in (2.0, 8.0))
    assert below["task0_straight"] == above["task0_straight"] == pytest.approx(0.55 + shift)
    assert below["beyond_straight"] == pytest.approx(-0.05) and below["beyond_straight_high"] < 0
    assert above["beyond_straight"] == pytest.approx(0.25) and above["beyond_straight_low"] > 0
    assert table["beyond_straight"].loc["seq", "end", ["none", "interpolation", "forward"]].isna().all()
    assert table["beyond_straight"].sort_index().loc["seq", "trough"].isna().all(), "nothing of Task 1 is learned there"


def test_a_table_made_before_repairs_stood_beside_the_straight_way_has_the_rest() -> None:
    graft = graft_rows("seq", 0)
    table = graft_table(graft[~graft["metric"].isin(["straight", "beyond_straight"])])
    assert table["beyond_straight"].isna().all() and table["task0_random"].notna().any()


def test_a_study_without_floors_has_the_rest() -> None:
    graft = graft_rows("seq", 0)
    table = graft_table(graft[~graft["operation"].isin(["into_floor", "floor", "of_floor", "pretrained_into_floor"])])
    assert table["task0_floor"].isna().all() and table["task0_random"].notna().any()


def test_a_part_that_moved_in_one_seed_only_has_no_row() -> None:
    graft = pd.concat([graft_rows("seq", seed) for seed in range(2)])
    still = (graft["seed"] == 1) & (graft["part"] == "norms")
    assert "norms" not in set(graft_table(graft[~still])["part"])
