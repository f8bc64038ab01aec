from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from forgetting.errors import StudyError
from forgetting.report.readings import Claim, Found, Place, Rule, find, judgement, read_claims, reading, rule_text

ROOT = Path(__file__).parents[2]
NAN = float("nan")
OTHER = Place(table="methods", row={"arm": "seq"}, column="final")
TABLES = {
    "methods": pd.DataFrame(
        {
            "arm": ["seq", "freeze-2", "point"],
            "seeds": 3,
            "final": [0.5, NAN, 0.5],
            "final_low": [0.45, NAN, NAN],
            "final_high": [0.55, NAN, NAN],
            "final_seeds": [3, 0, 3],
        }
    )
}


@pytest.mark.parametrize(
    ("rule", "low", "high", "expected"),
    [
        ({"below": 0.15}, 0.10, 0.14, "holds"),
        ({"below": 0.15}, 0.10, 0.16, "cannot say"),
        ({"below": 0.15}, 0.16, 0.20, "does not hold"),
        ({"above": 0.95}, 0.96, 0.99, "holds"),
        ({"above": 0.95}, 0.90, 0.94, "does not hold"),
        ({"above": 0.95, "one_way": True}, 0.90, 0.94, "cannot say"),
        ({"above": 0.95, "one_way": True}, 0.96, 0.99, "holds"),
        ({"about": 0.96, "within": 0.05}, 0.92, 1.0, "holds"),
        ({"about": 0.96, "within": 0.05}, 0.80, 1.0, "cannot say"),
        ({"about": 0.96, "within": 0.05}, 0.80, 0.90, "does not hold"),
        ({"above": OTHER}, 0.56, 0.60, "holds"),
        ({"above": OTHER}, 0.52, 0.60, "cannot say"),
        ({"above": OTHER}, 0.40, 0.44, "does not hold"),
    ],
)
def test_a_claim_holds_where_the_whole_interval_is_on_its_side(rule: dict[str, object], low: float, high: float, expected: str) -> None:
    number = Found((low + high) / 2, low, high, 3, 3)
    assert reading(number, Rule.model_validate(rule), TABLES) == expected
    of_one = reading(number._replace(reached=1), Rule.model_validate(rule), TABLES)
    assert of_one == f"{expected} in this run", "one seed never says yes or no"


def test_a_rule_that_can_only_hold_or_be_left_open_says_so() -> None:
    assert rule_text(Rule.model_validate({"above": 0, "one_way": True}), []) == "above 0, one way"
    assert rule_text(Rule.model_validate({"above": 0}), []) == "above 0"


@pytest.mark.parametrize(
    ("control", "judged", "gate", "expected"),
    [
        ("seq", False, False, "holds"),
        ("seq", False, True, "holds, as a gate asks"),
        ("seq", True, False, "holds, for a control too"),
        ("freeze-2", True, False, "holds"),  # the control was not reached
        ("point", True, False, "holds, for a control too"),  # of which no interval is known
    ],
)
def test_what_a_gate_asks_for_and_what_a_control_does_too_takes_from_a_claim(control: str, judged: bool, gate: bool, expected: str) -> None:
    floor = {"name": "x", "table": "methods", "row": {"arm": control}, "column": "final", "judged": judged}
    claim = Claim.model_validate({"claim": "x", "gate": gate, "measured": OTHER, "holds": {"below": 0.6}, "floors": [floor]})
    assert judgement(claim, TABLES) == expected
    fails = claim.model_copy(update={"holds": Rule(below=0.4)})
    assert judgement(fails, TABLES) == "does not hold"


@pytest.mark.parametrize(("above", "expected"), [(0.2, "holds, but a harder control is not surely less"), (0.7, "does not hold")])
def test_a_harder_control_that_the_number_is_not_told_from_is_said(above: float, expected: str) -> None:
    floor = {"name": "x", "table": "methods", "row": {"arm": "seq"}, "column": "final", "harder": True}
    claim = Claim.model_validate({"claim": "x", "measured": OTHER, "holds": {"above": above}, "floors": [floor]})
    assert judgement(claim, TABLES) == expected, "of itself no number is told"
    unreached = claim.floors[0].model_copy(update={"row": {"arm": "freeze-2"}})
    assert judgement(claim.model_copy(update={"floors": [unreached]}), TABLES) == expected.partition(",")[0]


@pytest.mark.parametrize(("below", "expected"), [(0.4, "does not apply: its premise is not met"), (0.6, "holds"), (0.52, "holds")])
def test_a_claim_does_not_apply_where_its_premise_surely_fails(below: float, expected: str) -> None:
    premise = {"measured": OTHER, "holds": {"below": below}}
    claim = Claim.model_validate({"claim": "x", "measured": OTHER, "holds": {"above": 0.2}, "premise": premise})
    assert judgement(claim, TABLES) == expected


def test_what_is_not_there_is_not_read() -> None:
    rule = Rule(below=0.15)
    assert reading(None, rule, TABLES) == "not run yet"
    assert reading(Found(NAN, NAN, NAN, 0, 3), rule, TABLES) == "cannot say: not reached"
    assert reading(Found(0.1, NAN, NAN, 3, 3), rule, TABLES) == "cannot say: no interval"
    assert reading(Found(0.1, NAN, NAN, 1, 1), rule, TABLES) == "holds in this run"
    missing = Rule(above=Place(table="grid_table", row={"arm": "seq"}, column="final"))
    assert reading(Found(0.1, 0.0, 0.2, 3, 3), missing, TABLES) == "not run yet: what it is held against"
    unreached = Rule(above=OTHER.model_copy(update={"row": {"arm": "freeze-2"}}))
    assert reading(Found(0.1, 0.0, 0.2, 3, 3), unreached, TABLES) == "cannot say: what it is held against was not reached"


def test_a_cell_is_found_with_its_interval_and_seeds() -> None:
    assert find(TABLES, OTHER) == Found(0.5, 0.45, 0.55, 3, 3)
    assert find(TABLES, OTHER.model_copy(update={"row": {"arm": "joint"}})) is None
    assert find({}, OTHER) is None
    undefined = find(TABLES, OTHER.model_copy(update={"row": {"arm": "freeze-2"}}))
    assert undefined is not None and (undefined.reached, undefined.seeds) == (0, 3)
    with pytest.raises(StudyError, match="no column 'finale'"):
        find(TABLES, OTHER.model_copy(update={"column": "finale"}))
    with pytest.raises(StudyError, match="3 rows"):
        find(TABLES, OTHER.model_copy(update={"row": {"seeds": "3"}}))


def tables_named(claims: list[Claim]) -> set[str]:
    """The tables that the claims are read from."""
    bounds = [side for claim in claims if claim.holds for side in (claim.holds.above, claim.holds.below)]
    places = [place for claim in claims for place in [claim.measured, *claim.floors]]
    return {place.table for place in [*places, *bounds] if isinstance(place, Place)}


def test_every_claim_names_its_source_and_how_it_was_read() -> None:
    claims = read_claims(ROOT / "docs/claims.yaml")
    assert all(claim.source and claim.known_through for claim in claims)
    assert tables_named(claims) == {
        "methods",
        "method_table",
        "recovery_table",
        "claims",
        "graft_table",
        "grid_table",
        "recovery_controls",
        "theory_table",
        "verdict",
    }
    end = next(claim for claim in claims if claim.stated == "about 96 %")
    assert end.measured is not None and end.measured.row == {"arm": "seq", "point": "end"}, "96 % is recovery at the end"


def test_every_earlier_claim_is_held_against_something() -> None:
    claims = read_claims(ROOT / "docs/earlier-claims.yaml")
    assert claims and all(claim.stated and claim.holds and claim.floors for claim in claims)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holds": None}, "belong together"),
        ({"holds": {"above": 1, "below": 2}}, "one of above, below and about"),
        ({"sauce": "section 3"}, "sauce"),
        ({"measured": None, "holds": None, "note": ""}, "note must say why"),
    ],
)
def test_a_fault_in_the_list_is_one_message(change: dict[str, object], message: str, tmp_path: Path) -> None:
    entry = {"claim": "it falls", "source": "section 3", "known_through": "the paper"}
    entry |= {"measured": OTHER.model_dump(), "holds": {"below": 0.15}} | change
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump([entry]))
    with pytest.raises(StudyError, match=message):
        read_claims(tmp_path / "claims.yaml")


def test_a_table_made_before_there_was_a_number_says_not_run_yet() -> None:
    table = pd.DataFrame({"arm": ["seq"], "task0": [0.7]})
    assert find({"grafts": table}, Place(table="grafts", row={"arm": "seq"}, column="task0_pretrained")) is None
