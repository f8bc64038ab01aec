"""The crossed experiment on made-up runs whose answers are known."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.figures import synthetic_factors

from forgetting.analysis.factors import AS_PREDICTED, CANNOT_SAY, COMMON_SHIFT, FORMAT, OTHERWISE, account_table, factor_table, half_curves
from forgetting.data.cells import cell_of_arm, factors_of_arm


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return synthetic_factors.frames()


def share(frame: pd.DataFrame, halves: pd.DataFrame, half: str, metric: str = "exact_match", **where: object) -> float:
    """Right answers (or first tokens) of `task0_test`, by hand: of the units of one half, or of all."""
    units = halves.loc[(halves["split"] == "task0_test") & ((halves["half"] == half) | (half == "both")), "unit"]
    rows = frame[frame["unit"].isin(units)]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return float(rows[metric].astype(float).mean())


@pytest.mark.parametrize("half", ["A", "B", "both"])
def test_curves_are_of_the_units_of_a_half(frames: dict[str, pd.DataFrame], half: str) -> None:
    curves = half_curves(frames["facts"], frames["halves"])
    for row in curves[(curves["half"] == half) & (curves["arm"] == "seq-half")].to_dict("records"):
        assert row["value"] == pytest.approx(share(frames["facts"], frames["halves"], half, arm="seq-half", step=row["step"]))
        assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9


def test_the_table_by_hand(frames: dict[str, pd.DataFrame]) -> None:
    table = factor_table(**frames)
    assert len(table) == 6 * 3 and list(table["format"].unique()) == ["same", "other", "statement"]
    for row in table.to_dict("records"):
        where = {"arm": row["arm"]}
        seen = {step: share(frames["facts"], frames["halves"], row["half"], step=step, **where) for step in synthetic_factors.STEPS}
        lowest = min(value for step, value in seen.items() if 0 < step <= 150)
        assert row["trough"] == pytest.approx(lowest) and seen[row["trough_step"]] == lowest
        later = max(value for step, value in seen.items() if step >= row["trough_step"])
        assert row["rebound"] == pytest.approx(later - lowest)
        floor = f"{row['arm']}-no-task0"
        at_trough = share(frames["facts"], frames["halves"], row["half"], arm=floor, step=row["trough_step"])
        assert row["trough_floor"] == pytest.approx(at_trough)
        assert row["trough_beyond_floor"] == pytest.approx(lowest - at_trough)
        for arm, column in ((row["arm"], "trough_first_token"), (floor, "trough_first_token_floor")):
            first = share(frames["facts"], frames["halves"], row["half"], "first_token_hard", arm=arm, step=row["trough_step"])
            assert row[column] == pytest.approx(first) and first > 0.1, column
        for name, checkpoint in (("early", 100), ("late", 3000)):
            place = {"checkpoint": checkpoint, "epochs": 1.0}
            for arm, column in ((row["arm"], f"{name}_recovered"), (floor, f"{name}_floor")):
                found = share(frames["recovery_facts"], frames["halves"], row["half"], arm=arm, **place)
                assert row[column] == pytest.approx(found), column
        task1 = frames["facts"][(frames["facts"]["arm"] == row["arm"]) & (frames["facts"]["split"] == "task1")]
        assert row["trough_task1"] == pytest.approx(task1.loc[task1["step"] == row["trough_step"], "exact_match"].mean())


Ends = tuple[float, float]


def cell(
    form: str, values: str, a: Ends, b: Ends, rebound: float = 0.1, final: float = 0.5, floor_of_b: float = 0.0
) -> list[dict[str, object]]:
    """Rows of a cell in which 1.0 was known before: the ends of the troughs of A and B, the lower one of A's rebound, where all end, and
    the floor of B, all others being 0."""
    both = (min(a[0], b[0]), max(a[1], b[1]))
    return [
        {"format": form, "values": values, "half": half, "before": 1.0, "trough_low": low, "trough_high": high, "seeds": 3}
        | {"rebound_low": rebound, "final_low": final - 0.1, "final_high": final + 0.1}
        | {f"trough_beyond_floor_{end}": at - floor_of_b * (half == "B") for end, at in (("low", low), ("high", high))}
        for half, (low, high) in (("A", a), ("B", b), ("both", both))
    ]


LOW, MIDDLE, HIGH, WIDE = (0.05, 0.15), (0.55, 0.7), (0.8, 0.95), (0.3, 0.9)


@pytest.mark.parametrize(
    ("rows", "of_format", "of_shift"),
    [
        (cell("same", "all", LOW, LOW), AS_PREDICTED, OTHERWISE),
        (cell("same", "all", HIGH, HIGH), OTHERWISE, AS_PREDICTED),
        (cell("same", "all", HIGH, HIGH, final=0.95), OTHERWISE, CANNOT_SAY),
        (cell("same", "all", WIDE, WIDE), CANNOT_SAY, CANNOT_SAY),
        (cell("same", "half", LOW, HIGH), OTHERWISE, AS_PREDICTED),
        (cell("same", "half", LOW, HIGH, rebound=-0.01), OTHERWISE, CANNOT_SAY),
        (cell("same", "half", LOW, MIDDLE), OTHERWISE, OTHERWISE),
        (cell("statement", "half", HIGH, HIGH), AS_PREDICTED, OTHERWISE),
        (cell("statement", "half", LOW, HIGH), OTHERWISE, AS_PREDICTED),
        (cell("other", "all", MIDDLE, MIDDLE), CANNOT_SAY, AS_PREDICTED),
    ],
)
def test_accounts_are_held_against_each_cell(rows: list[dict[str, object]], of_format: str, of_shift: str) -> None:
    (found,) = account_table(pd.DataFrame(rows)).to_dict("records")
    assert (found[FORMAT], found[COMMON_SHIFT]) == (of_format, of_shift)


def test_other_words_must_lose_less_than_the_same_words() -> None:
    rows = [
        *cell("same", "all", LOW, LOW),
        *cell("other", "all", MIDDLE, MIDDLE),
        *cell("same", "half", MIDDLE, MIDDLE),
        *cell("other", "half", LOW, LOW),
    ]
    found = account_table(pd.DataFrame(rows)).set_index(["format", "values"])
    assert [found.loc[("other", values), FORMAT] for values in ("all", "half")] == [AS_PREDICTED, OTHERWISE]
    assert list(found.loc[("other", "half"), ["A", "B", "alike"]]) == ["collapse", "collapse", "yes"]


@pytest.mark.parametrize(("floor", "beyond"), [(0.0, "no"), (0.3, "yes")])
def test_a_half_that_is_oftener_right_by_chance_alone_is_alike_beyond_its_floor(floor: float, beyond: str) -> None:
    (found,) = account_table(pd.DataFrame(cell("same", "half", LOW, (0.35, 0.45), floor_of_b=floor))).to_dict("records")
    assert (found["alike"], found["alike_beyond_floor"]) == ("no", beyond)


def test_a_cell_without_a_floor_has_none() -> None:
    table = factor_table(**synthetic_factors.frames(arms=["seq-half", "seq-statement"]))
    assert table[["trough_floor", "trough_beyond_floor", "early_floor", "late_floor"]].isna().all(axis=None)
    assert set(account_table(table)["alike_beyond_floor"]) == {""}


def test_several_seeds_have_intervals_over_seeds() -> None:
    table = factor_table(**synthetic_factors.frames((0, 1, 2), arms=["seq", "seq-no-task0"]))
    assert set(table["seeds"]) == {3} and (table["trough_low"] < table["trough"]).all()


def test_names_tell_the_cell() -> None:
    told = {arm: factors_of_arm(arm) for arm in synthetic_factors.ARMS}
    assert len(set(told.values())) == 6 and told["seq-half-other-no-task0"] == ("half", "other")
    assert [cell_of_arm(arm) for arm in ("seq", "seq-half", "seq-statement")] == [None, "half-same", "all-statement"]
    assert factors_of_arm("seq-lr-2e-4") is None
    with pytest.raises(ValueError, match="replay-20"):
        cell_of_arm("replay-20")
