"""The rules of an advice on made-up trials in which what is true is known, above all where two readings come apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetting.analysis.advice import Advised, Trials, advise, gates, judged_on, methods_table, standings
from forgetting.data.tried import HELD, OLD_TEST, OLD_VAL, TRAINED

STEPS = (0, 5, 20, 50, 100)
UNITS = 60
Way = tuple[float, ...]
LEARNS, SLOW, NEVER = (0.0, 0.3, 0.8, 1.0, 1.0), (0.0, 0.1, 0.3, 0.7, 0.95), (0.0, 0.0, 0.1, 0.2, 0.3)
KEPT, LOST, HALF = (0.95,) * 5, (0.95, 0.3, 0.1, 0.05, 0.05), (0.95, 0.8, 0.6, 0.5, 0.5)
NOTHING = (0.0,) * 5


def trial(
    method: str, old: Way, new: Way, seed: int = 0, held: Way = NOTHING, old_val: Way | None = None, units: int = UNITS
) -> pd.DataFrame:
    """TRIED rows of one trial: at each step the first so many units are right."""
    values = {OLD_VAL: old_val or old, OLD_TEST: old, TRAINED.val: new, TRAINED.test: new, HELD.val: held, HELD.test: held}
    frames = []
    for number, (split, way) in enumerate(values.items()):
        for step, value in zip(STEPS, way, strict=True):
            unit = 1000 * number + np.arange(units)
            right = np.arange(units) < round(value * units)
            frames.append(pd.DataFrame({"step": step, "unit": unit, "question": unit, "score": right.astype(float), "split": split}))
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(method=method, seed=seed, kind="answer", exact_match=frame["score"] == 1, answer_nll=0.0)


def known(units: int = UNITS) -> dict[str, Any]:
    splits = [OLD_VAL, OLD_TEST, *TRAINED, *HELD]
    return {"floors": {"modal_answer": [0.05, 0.02, 0.1]}, "units": dict.fromkeys(splits, units)}


def said_of(*trials: pd.DataFrame, units: int = UNITS, alone: float = 1.0) -> tuple[Advised, Trials]:
    frame = pd.concat(trials, ignore_index=True)
    names = list(dict.fromkeys(frame["method"]))
    made = Trials(frame, names)
    return advise(made, standings(made), gates(made, known(units), alone), {name: name for name in names}), made


def test_what_keeps_surely_more_is_taken_and_the_rest_compared_with_it() -> None:
    said, _ = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", HALF, LEARNS), trial("replay-10", KEPT, LEARNS))
    assert (said.decision, said.method) == ("take", "replay-10")
    assert "surely keeps more than freeze-50" in said.sure and "One order" in said.sure


def test_where_two_methods_overlap_which_is_better_is_left_open() -> None:
    nearly = (0.95, 0.95, 0.93, 0.93, 0.93)
    said, _ = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", nearly, LEARNS), trial("replay-10", KEPT, LEARNS))
    assert said.decision == "take" and "Not told apart from it: freeze-50" in said.sure


def test_of_equal_methods_the_cheaper_is_taken() -> None:
    said, _ = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, LEARNS), trial("replay-10", KEPT, LEARNS))
    assert said.method == "freeze-50"


def test_a_method_that_does_not_learn_is_not_taken_however_little_it_forgets() -> None:
    said, made = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, NEVER), trial("replay-10", HALF, LEARNS))
    assert said.method == "replay-10"
    assert not standings(made)["freeze-50"].learned


def test_at_equal_steps_a_slow_method_would_win_that_loses_where_both_have_learned() -> None:
    """By the second step it keeps 0.9 where plain fine-tuning keeps 0.1; but by the time it has learned, it has lost as much."""
    slow = (0.95, 0.95, 0.9, 0.4, 0.05)
    said, made = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", slow, SLOW))
    assert made.stops("freeze-50") == {0: 100} and made.stops("seq") == {0: 50}
    assert said.decision == "nothing helps"


def test_nothing_forgotten_is_told_as_such() -> None:
    said, _ = said_of(trial("seq", KEPT, LEARNS), trial("replay-10", KEPT, LEARNS))
    assert (said.decision, said.method) == ("nothing forgotten", "seq")


def test_a_gain_within_its_error_is_not_taken_and_the_number_of_units_told() -> None:
    some, little = (0.95, 0.6, 0.5, 0.5, 0.5), (0.95, 0.7, 0.75, 0.75, 0.75)
    said, _ = said_of(trial("seq", some, LEARNS, units=12), trial("freeze-50", little, LEARNS, units=12), units=12)
    assert said.decision == "cannot be said" and "reported units of the old task in place of 12" in said.change


def test_what_won_on_validation_units_alone_is_not_taken() -> None:
    """The choice is on validation units, what is said on others: a method that was only lucky there does not win."""
    lucky = trial("freeze-50", LOST, LEARNS, old_val=KEPT)
    said, _ = said_of(trial("seq", LOST, LEARNS), lucky, trial("replay-10", HALF, LEARNS))
    assert said.decision == "cannot be said" or said.method != "freeze-50"


@pytest.mark.parametrize(
    "change, gate",
    [
        ({"old": (0.1,) * 5}, "the old task is known"),
        ({"new": NEVER}, "plain fine-tuning learns the new task"),
        ({"units": 6}, "enough units"),
        ({"alone": 0.9}, "scored the same alone and in a batch"),
    ],
)
def test_without_its_conditions_nothing_is_advised(change: dict[str, Any], gate: str) -> None:
    units, alone = change.pop("units", UNITS), change.pop("alone", 1.0)
    seq = trial("seq", **({"old": LOST, "new": LEARNS, "units": units} | change))
    said, _ = said_of(seq, trial("replay-10", KEPT, LEARNS, units=units), units=units, alone=alone)
    assert said.decision == "cannot be said" and not said.method
    assert [each.name for each in said.gates if not each.passed] == [gate]


def test_the_new_task_is_judged_on_others_than_those_trained_on_where_it_can_be_learned_from_them() -> None:
    general = trial("seq", LOST, LEARNS, held=(0.0, 0.2, 0.6, 0.8, 0.8))
    by_chance = trial("seq", LOST, LEARNS, held=(0.0, 0.2, 0.3, 0.3, 0.3))
    few = trial("seq", LOST, LEARNS, held=(0.0, 0.6, 0.6, 0.6, 0.6), units=5)
    assert [judged_on(frame) for frame in (general, by_chance, few)] == [HELD, TRAINED, TRAINED]


def test_every_seed_must_have_learned_and_few_seeds_that_differ_are_unsure() -> None:
    seq = [trial("seq", LOST, LEARNS, seed) for seed in (0, 1)]
    _, made = said_of(*seq, trial("replay-10", KEPT, LEARNS, 0), trial("replay-10", KEPT, NEVER, 1))
    assert made.stops("replay-10") is None
    apart, made = said_of(*seq, trial("replay-10", KEPT, LEARNS, 0), trial("replay-10", LOST, LEARNS, 1))
    assert made.stops("replay-10") == {0: 50, 1: 50}
    assert apart.decision == "cannot be said", "one seed of two keeps all, the other nothing"


def test_the_table_says_what_the_sentence_does() -> None:
    said, made = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, NEVER), trial("replay-10", KEPT, LEARNS))
    costs = pd.DataFrame(
        {"method": made.methods, "words": made.methods, "seconds": 1.0, "weights": 10, "trained": [10, 5, 10], "stored": 0}
    )
    table = methods_table(made, standings(made), said, costs).set_index("method")
    assert table["taken"].tolist() == [False, False, True] and table["learned"].tolist() == [True, False, True]
    assert table.loc["replay-10", "gain"] == pytest.approx(57 / 60 - 3 / 60), "of 60 units, by hand"
    assert np.isnan(table.loc["freeze-50", "stop"]) and table.loc["freeze-50", "trained_share"] == 0.5
