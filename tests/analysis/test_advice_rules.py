"""The rules of an advice on made-up trials in which what is true is known, above all where two readings come apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetting.analysis.advice import (
    Advised,
    Attempt,
    Trials,
    advise,
    attempt_words,
    curves_table,
    gates,
    judged_on,
    methods_table,
    standings,
)
from forgetting.data.tried import HELD, OLD_TEST, OLD_VAL, TRAINED

STEPS = (0, 5, 20, 50, 100)
UNITS = 60
Way = tuple[float, ...]
LEARNS, SLOW, NEVER = (0.0, 0.3, 0.8, 1.0, 1.0), (0.0, 0.1, 0.3, 0.7, 0.95), (0.0, 0.0, 0.1, 0.2, 0.3)
KEPT, LOST, HALF = (0.95,) * 5, (0.95, 0.3, 0.1, 0.05, 0.05), (0.95, 0.8, 0.6, 0.5, 0.5)
NOTHING = (0.0,) * 5


def trial(
    method: str,
    old: Way,
    new: Way,
    seed: int = 0,
    held: Way = NOTHING,
    old_val: Way | None = None,
    units: int = UNITS,
    rate: float = 1.0,
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
    return frame.assign(method=method, rate=rate, seed=seed, kind="answer", exact_match=frame["score"] == 1, answer_nll=0.0)


def known(units: int = UNITS) -> dict[str, Any]:
    splits = [OLD_VAL, OLD_TEST, *TRAINED, *HELD]
    return {"floors": {"modal_answer": [0.05, 0.02, 0.1]}, "units": dict.fromkeys(splits, units)}


def said_of(*trials: pd.DataFrame, units: int = UNITS, alone: float = 1.0) -> tuple[Advised, Trials]:
    frame = pd.concat(trials, ignore_index=True)
    names = list(dict.fromkeys(frame["method"]))
    made = Trials(frame, names)
    return advise(made, standings(made), gates(made, known(units), alone), attempt_words(costs_of(made))), made


def costs_of(made: Trials) -> pd.DataFrame:
    """TRIALS rows in which every method is told by its name, and the rate of the advice is 1e-3."""
    costs = pd.DataFrame(made.attempts).assign(seconds=1.0, weights=10, trained=10, stored=0)
    return costs.assign(words=costs["method"], learning_rate=costs["rate"] / 1000)


def one(method: str) -> Attempt:
    """Where one rate is tried."""
    return Attempt(method, 1.0)


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
    assert not standings(made)[one("freeze-50")].learned


def test_at_equal_steps_a_slow_method_would_win_that_loses_where_both_have_learned() -> None:
    """By the second step it keeps 0.9 where plain fine-tuning keeps 0.1; but by the time it has learned, it has lost as much."""
    slow = (0.95, 0.95, 0.9, 0.4, 0.05)
    said, made = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", slow, SLOW))
    assert made.stops(one("freeze-50")) == {0: 100} and made.stops(one("seq")) == {0: 50}
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
    assert made.stops(one("replay-10")) is None
    apart, made = said_of(*seq, trial("replay-10", KEPT, LEARNS, 0), trial("replay-10", LOST, LEARNS, 1))
    assert made.stops(one("replay-10")) == {0: 50, 1: 50}
    assert apart.decision == "cannot be said", "one seed of two keeps all, the other nothing"


def test_the_table_says_what_the_sentence_does() -> None:
    said, made = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, NEVER), trial("replay-10", KEPT, LEARNS))
    costs = costs_of(made).assign(trained=[10, 5, 10])
    table = methods_table(made, standings(made), said, costs).set_index("method")
    assert table["taken"].tolist() == [False, False, True] and table["learned"].tolist() == [True, False, True]
    assert table.loc["replay-10", "gain"] == pytest.approx(57 / 60 - 3 / 60), "of 60 units, by hand"
    assert np.isnan(table.loc["freeze-50", "stop"]) and table.loc["freeze-50", "trained_share"] == 0.5


SOME = (0.95, 0.9, 0.8, 0.7, 0.65)
"""What is kept where the new task is learned slowly, or from below."""


def test_a_gain_of_the_rate_alone_is_not_taken_for_one_of_the_method() -> None:
    """Freezing keeps 0.7 where plain fine-tuning at the same rate keeps 0.05; but so does plain fine-tuning at the lower rate."""
    high = [trial("seq", LOST, LEARNS), trial("freeze-50", SOME, LEARNS)]
    assert said_of(*high)[0].method == "freeze-50"
    said, _ = said_of(*high, trial("seq", SOME, LEARNS, rate=0.3), trial("freeze-50", SOME, LEARNS, rate=0.3))
    assert (said.decision, said.method) == ("nothing helps", "seq")
    assert "No method keeps more than seq (rate 0.0003)" in said.sentence and "seq (rate 0.001) keeps 0.05" in said.sentence


def test_where_a_lower_rate_alone_forgets_nothing_it_is_the_advice() -> None:
    low = [trial("seq", KEPT, LEARNS, rate=0.3), trial("freeze-50", KEPT, LEARNS, rate=0.3)]
    said, _ = said_of(trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, LEARNS), *low)
    assert (said.decision, said.method) == ("nothing forgotten", "seq")
    assert "take seq (rate 0.0003)" in said.sentence and "seq (rate 0.001) keeps 0.05. Lower rates were not tried." in said.sentence


def test_a_method_that_is_taken_beats_plain_fine_tuning_at_the_best_of_its_rates() -> None:
    plain = [trial("seq", LOST, LEARNS), trial("seq", HALF, LEARNS, rate=0.3)]
    said, made = said_of(*plain, trial("freeze-50", KEPT, LEARNS), trial("freeze-50", LOST, LEARNS, rate=0.3))
    assert (said.decision, said.method) == ("take", "freeze-50") and "freeze-50 (rate 0.001)" in said.sentence
    table = methods_table(made, standings(made), said, costs_of(made)).set_index(["method", "rate"])
    assert table.loc[("freeze-50", 1.0), "gain"] == pytest.approx(57 / 60 - 30 / 60), "by hand; of what the high rate keeps it is 54 / 60"
    assert table.index[table["judged"]].tolist() == [("seq", 0.3), ("freeze-50", 1.0)]
    assert table.index[table["taken"]].tolist() == [("freeze-50", 1.0)]
    curves = curves_table(made)
    assert len(curves) == len(made.attempts) * 2 * len(STEPS)
    assert set(curves[(curves["rate"] == 0.3) & (curves["step"] == 100) & (curves["part"] == "test")]["old"].round(6)) == {0.5, 0.05}


def test_the_rate_is_chosen_on_validation_units_not_on_those_that_are_reported() -> None:
    lucky = [trial("freeze-50", KEPT, LEARNS, old_val=HALF, rate=0.3), trial("freeze-50", HALF, LEARNS, old_val=KEPT)]
    said, made = said_of(trial("seq", LOST, LEARNS, rate=0.3), trial("seq", LOST, LEARNS), *lucky)
    assert made.judged["freeze-50"] == Attempt("freeze-50", 1.0)
    assert "keeps 0.50 of the old task" in said.sentence


def test_a_rate_at_which_too_little_is_learned_is_not_chosen_however_little_it_forgets() -> None:
    """The new task is learned at nine tenths of what plain fine-tuning gains at its best rate, not at each rate by itself."""
    rates = [trial("seq", KEPT, NEVER, rate=0.1), trial("seq", LOST, LEARNS), trial("freeze-50", KEPT, NEVER, rate=0.1)]
    _, made = said_of(*rates, trial("freeze-50", HALF, LEARNS))
    assert made.level == pytest.approx(0.9)
    assert made.judged == {name: Attempt(name, 1.0) for name in ("seq", "freeze-50")}


def test_of_equal_rates_the_lower_one_is_chosen_and_of_those_that_learn_nothing_the_nearest() -> None:
    seq = [trial("seq", LOST, LEARNS, rate=rate) for rate in (0.3, 1.0, 3.0)]
    never = [trial("freeze-50", KEPT, new, rate=rate) for rate, new in ((0.3, NOTHING), (1.0, NEVER), (3.0, NEVER))]
    _, made = said_of(*seq, *never)
    assert made.judged == {"seq": Attempt("seq", 0.3), "freeze-50": Attempt("freeze-50", 1.0)}


def test_all_seeds_have_the_same_rate() -> None:
    """The first seed alone would choose the low rate, the second the high one, by more."""
    kept = {(0, 0.3): (0.95, 0.9, 0.8, 0.6, 0.6), (0, 1.0): HALF, (1, 0.3): LOST, (1, 1.0): KEPT}
    freeze = [trial("freeze-50", old, LEARNS, seed, rate=rate) for (seed, rate), old in kept.items()]
    _, made = said_of(*(trial("seq", LOST, LEARNS, seed, rate=rate) for seed, rate in kept), *freeze)
    assert made.judged["freeze-50"].rate == 1.0
    unlearned = trial("freeze-50", KEPT, NEVER, 1)
    _, made = said_of(*(trial("seq", LOST, LEARNS, seed, rate=rate) for seed, rate in kept), *freeze[:3], unlearned)
    assert made.judged["freeze-50"].rate == 0.3, "it must be learned in every seed"


def test_the_chosen_rate_and_step_are_those_of_a_search_through_all() -> None:
    """By another way: from the numbers that the tables were made of, in one loop over rates and steps."""
    random = np.random.default_rng(7)
    rates, drawn = (0.1, 1.0, 10.0), {}
    for method in ("seq", "freeze-50", "replay-10"):
        for rate in rates:
            drawn[method, rate] = [np.append(first, random.integers(0, UNITS + 1, 4)) / UNITS for first in (57, 0, 57)]
    frames = [trial(method, tuple(test), tuple(new), old_val=tuple(val), rate=rate) for (method, rate), (val, new, test) in drawn.items()]
    made = said_of(*frames)[1]
    level = 0.9 * max(drawn["seq", rate][1].max() for rate in rates)
    for method in ("seq", "freeze-50", "replay-10"):
        learned = [(rate, place) for rate in rates for place in range(1, 5) if drawn[method, rate][1][place] >= level - 1e-9]
        rate, place = max(learned, key=lambda where: drawn[method, where[0]][0][where[1]])
        assert made.judged[method] == (method, rate) and made.stops(made.judged[method]) == {0: STEPS[place]}


def test_whether_the_new_task_can_be_learned_from_others_is_judged_at_the_best_rate() -> None:
    low, high = trial("seq", KEPT, NEVER, rate=0.1), trial("seq", LOST, LEARNS, held=(0.0, 0.2, 0.6, 0.8, 0.8))
    assert judged_on(pd.concat([low, high], ignore_index=True)) == HELD
