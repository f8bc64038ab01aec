from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from forgetting.figures.catalogue import ITEMS
from forgetting.report.answers import answers, arm_words, headline, number
from forgetting.report.readings import Found

NAN = float("nan")


def with_interval(name: str, value: float, width: float = 0.02) -> dict[str, float]:
    return {name: value, f"{name}_low": value - width, f"{name}_high": value + width}


def verdict(seeds: int = 1, **said: float) -> pd.DataFrame:
    """Plain fine-tuning that loses all early, which recovery brings back."""
    given = {"before": 0.98, "learned": 1.0, "pretrained": 0.6, "random": 0.02, "early_drop": 0.92, "early_recovered": 0.95}
    given |= {
        "early_floor": 0.7,
        "late_floor": 0.2,
        "late_drop": 0.9,
        "late_recovered": 0.4,
        "early_spurious_share": 0.97,
        "late_spurious_share": 0.38,
    }
    given |= {"early_kept_beyond_floor": 0.0, "late_kept_beyond_floor": -0.1, "early_beyond_floor": 0.25, "late_beyond_floor": 0.2}
    given |= {"early_area_beyond_floor": 0.2, "late_area_beyond_floor": 0.1, "early_area_floor": 0.5, "late_area_floor": 0.5}
    given |= {"early_beyond_pretrained": 0.3, "early_area_beyond_pretrained": 0.3, "early_area_pretrained": 0.4}
    given |= {"early_restored_share": 0.1, "early_stream_restored_share": 0.1}
    row: dict[str, Any] = {"arm": "seq", "conclusion": "", "floor_arm": "seq-no-task0", "seeds": seeds, "early_checkpoint": 150}
    for name, value in (given | said).items():
        row |= with_interval(name, value)
    return pd.DataFrame([row])


def test_numbers_are_told_with_what_is_known_of_them() -> None:
    assert number(Found(0.064, 0.04, 0.091, 1, 1)) == "0.06 [0.04, 0.09]"
    assert number(Found(0.5, NAN, NAN, 1, 1)) == "0.50" and number(Found(NAN, NAN, NAN, 0, 1)) == "-"


@pytest.mark.parametrize(("seeds", "end"), [(1, "One run."), (3, "Mean of 3 seeds.")])
def test_the_headline_says_what_was_lost_and_what_came_back_beside_what_it_must_beat(seeds: int, end: str) -> None:
    assert headline({"verdict": verdict(seeds)}) == (
        "Task 0 falls from 0.98 to 0.06 in 150 steps of Task 1; one epoch on other persons' questions brings it to 0.95 [0.93, 0.97] "
        f"(a model that never had Task 0: 0.70, one that never saw a question: 0.60); from the end of Task 1 to 0.40 [0.38, 0.42] "
        f"(never had Task 0: 0.20). {end}"
    )
    assert "to 0.40 [0.38, 0.42]. One run." in headline({"verdict": verdict(late_floor=NAN)})


def test_there_is_no_headline_without_a_sure_loss() -> None:
    assert headline({}) == "" == headline({"verdict": verdict(early_drop=0.0)}) == headline({"verdict": verdict(early_drop=0.03)})


def test_each_arm_has_its_words() -> None:
    (arm, words) = next(iter(arm_words({"verdict": verdict()}).items()))
    assert arm == "seq" and words == {
        "early loss": "spurious",
        "late loss": "mostly not back",
        "kept of Task 0": "not ahead early, behind late",
        "recovery": "ahead",
        "common shift": "little early",
    }
    frozen = arm_words({"verdict": verdict().assign(arm="freeze-2")})["freeze-2"]
    assert frozen["recovery"] == "ahead*" and frozen["common shift"] == "little early", "it was not frozen"
    own = verdict().assign(arm="freeze-2", floor_arm="freeze-2-no-task0")
    assert arm_words({"verdict": own})["freeze-2"] == words
    unlost = arm_words({"verdict": verdict(early_drop=-0.01, late_drop=0.03)})["seq"]
    assert unlost == {"early loss": "nothing", "late loss": "unclear", "kept of Task 0": "-", "recovery": "-", "common shift": "-"}


def test_questions_are_answered_by_the_tables_that_are_there() -> None:
    methods = [{"arm": "floor: modal answer", "early_stop": "-", "seeds": 1} | with_interval("final", 0.03)]
    for arm, trough, stopped in (("ewc", 0.06, NAN), ("seq", 0.06, 0.05), ("replay-20", 0.5, 0.7), ("seq-no-task0", 0.001, 0.04)):
        row = with_interval("before", 0.98) | with_interval("trough", trough)
        methods.append({"arm": arm, "early_stop": "no", "seeds": 1} | row | with_interval("final", 0.1))
        methods.append({"arm": arm, "early_stop": "yes", "seeds": 1} | with_interval("final", stopped))
    graft = [{"arm": "seq", "point": "trough", "operation": "none", "part": "all", "layer": -1, "seeds": 1} | with_interval("task0", 0.06)]
    for layer, task0 in ((1, 0.78), (2, 0.1), (3, 0.09)):
        row = {"arm": "seq", "point": "trough", "operation": "back", "part": "block", "layer": layer, "seeds": 1, "task0_random": 0.12}
        graft.append(row | with_interval("task0", task0))
    points = [("trough", 150, 0.07), ("end", 3000, 0.05)]
    recovery = [{"arm": "seq-no-task0", "point": point, "checkpoint": step, "dropped": value, "seeds": 1} for point, step, value in points]
    shifts = (("shift_early", 1.27, NAN), ("shift_whole", 0.14, NAN), ("shift_kept", 0.11, 1.0))
    claims = [{"statistic": name, "arm": "seq", "value": value, "reference": reference, "seeds": 1} for name, value, reference in shifts]
    tables = {"methods": methods, "graft_table": graft, "recovery_table": recovery, "claims": claims}
    found = answers({name: pd.DataFrame(rows) for name, rows in tables.items()} | {"verdict": verdict()})
    assert set(found) < set(ITEMS)
    assert found["Does accuracy collapse?"] == (
        "Task 0: 0.98 [0.96, 1.00] before Task 1, 0.06 [0.04, 0.08] at its lowest in the first 150 steps, 0.10 [0.08, 0.12] at the end. "
        "Floors: always the most frequent answer 0.03; the same Task 1 without Task 0 0.07 after 150 steps, 0.05 at the end."
    )
    assert found["Which method helps?"] == (
        "Task 0 where Task 1 is learned: replay-20 0.70 [0.68, 0.72]; seq 0.05 [0.03, 0.07]; ewc not learned in every seed. "
        "Floors: seq-no-task0 0.04 [0.02, 0.06]; always the most frequent answer 0.03."
    )
    assert found["Where do weights move?"] == (
        "Putting block 1 alone back to its weights before Task 1 brings Task 0 at its lowest from 0.06 to 0.78 [0.76, 0.80]; any other "
        "block alone at most to 0.10, as much of the update taken back at random to 0.12."
    )
    for floor, kept in ((0.9, "nothing shows that the rest of the model kept any"), (0.2, "the rest of the model kept some of it")):
        of_floor = pd.DataFrame([row | with_interval("task0_floor", floor) for row in graft])
        said = answers({"graft_table": of_floor})["Where do weights move?"]
        assert said.endswith(f"the same block brings {floor:.2f} [{floor - 0.02:.2f}, {floor + 0.02:.2f}] of Task 0, so {kept}.")
    for untaught, brings in (
        (0.7, "so what putting it back undoes is damage of Task 1, for the most part"),
        (0.42, "which leaves open whether it brings Task 0 or undoes damage"),
        (0.2, "so most of what comes back with it is what Task 0 had taught it"),
    ):
        of_pretrained = pd.DataFrame([row | with_interval("task0_pretrained", untaught) for row in graft])
        said = answers({"graft_table": of_pretrained})["Where do weights move?"]
        assert said.endswith(f"never learned Task 0, brings {untaught:.2f} [{untaught - 0.02:.2f}, {untaught + 0.02:.2f}], {brings}.")
    in_pretrained = of_pretrained.assign(task0_into_pretrained=0.1, task0_into_pretrained_low=0.08, task0_into_pretrained_high=0.12)
    said = answers({"graft_table": in_pretrained})["Where do weights move?"]
    assert said.endswith("In that model, where nothing else has learned to answer, the block from before Task 1 brings 0.10 [0.08, 0.12].")
    assert found["What do the features show?"] == (
        "The mean state of the last layer moves by 1.27 standard deviations in 150 steps, by 0.14 over all of Task 1 (0.11 of it; at least "
        "1 if nothing is taken back). Taking the change common to all answers out of the logits brings back 0.10 [0.08, 0.12] of the early "
        "loss (0: none of it)."
    )
    assert answers({}) == {}


def test_many_tasks_are_told_after_the_last_of_them_beside_models_that_never_had_task_0() -> None:
    row = {"arm": "seq", "task": "Task 0", "seeds": 1, "pretrained": 0.9, "random": 0.0}
    rows = [
        row | {"after": after} | with_interval("dropped", dropped) | with_interval("recovered", recovered)
        for after, dropped, recovered in (("Task 1", 0.3, 0.95), ("Task 2", 0.1, 0.6))
    ]
    other = rows[0] | {"after": "Task 2", "task": "Task 1"}
    assert answers({"sequence_recovery_table": pd.DataFrame([*rows, other])}) == {
        "What happens over many tasks?": "After Task 2 plain fine-tuning has 0.10 [0.08, 0.12] of Task 0, and one epoch brings back "
        "0.60 [0.58, 0.62] (pretrained only: 0.90, random weights: 0.00)."
    }
    assert answers({"sequence_recovery_table": pd.DataFrame([rows[0] | {"arm": "replay-20"}])}) == {}


def test_trust_is_what_gates_and_unknown_persons_say() -> None:
    gates = [
        {"gate": "task0_before", "value": 0.99, "low": 0.98, "high": 1.0, "threshold": ">= 0.95", "floor": 0.02, "passed": "yes"},
        {"gate": "control during Task 1", "value": 0.04, "low": 0.02, "high": 0.08, "threshold": "<= 0.06", "floor": 0.01, "passed": "yes"},
        {"gate": "sequential_trough", "value": 0.3, "low": 0.2, "high": 0.4, "threshold": "<= 0.15", "floor": 0.02, "passed": "NO"},
        {"gate": "recovery_from_150", "value": NAN, "threshold": ">= 0.9", "floor": NAN, "passed": "not applicable"},
    ]
    unknown = " Persons whom no stage has seen are answered right in at most 0.04 [0.02, 0.08]; always the most frequent answer: 0.01."
    frame = pd.DataFrame(gates).assign(seed=0)
    assert answers({"gates": frame})["Can I trust it?"] == (
        "2 of 3 gates are reached; not reached: sequential_trough in seed 0 (0.30 [0.20, 0.40], threshold <= 0.15)." + unknown
    )
    assert answers({"gates": frame[:2]})["Can I trust it?"] == "2 of 2 gates are reached." + unknown
    assert answers({"gates": frame[:0]}) == {}
