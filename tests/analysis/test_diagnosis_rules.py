"""The rules of a diagnosis on made-up tables in which what is true is known, above all where two readings come apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forgetting.analysis.diagnosis import Verdict, deciding_rate, effects, gates, spurious_share, verdict
from forgetting.analysis.given import Effect, number_text, percent, units_needed
from forgetting.data.probed import NEW, RIGHT, TEST, TRAIN
from forgetting.intervals import Interval

STEPS = (0, 4, 15, 40, 60)
UNITS = 100
Curve = tuple[float, ...]
KNOWN, FLAT = (0.95,) * 5, (0.05,) * 5
FAST, SLOW = (0.05, 0.6, 0.9, 0.94, 0.95), (0.05, 0.1, 0.3, 0.8, 0.95)
LEARNED, NOT_LEARNED = (0.05, 0.9), (0.05, 0.2)


def curve(start: str, values: Curve, units: int = UNITS, rate: float = 1.0, training: tuple[float, float] = LEARNED) -> pd.DataFrame:
    """PROBED rows of one run: the first so many units are right, so that units are right at one step if they are at a lower value."""
    frames = []
    for step, value in zip(STEPS, values, strict=True):
        right = np.arange(units) < round(value * units)
        frames.append(pd.DataFrame({"step": step, "unit": np.arange(units), "score": right.astype(float), "split": TEST}))
    for step, value in zip((0, STEPS[-1]), training, strict=True):
        right = np.arange(50) < round(value * 50)
        frames.append(pd.DataFrame({"step": step, "unit": 1000 + np.arange(50), "score": right.astype(float), "split": TRAIN}))
    frame = pd.concat(frames, ignore_index=True).assign(start=start, training=RIGHT, units=50, rate=rate, seed=0, kind="answer")
    return frame.assign(question=frame["unit"], exact_match=frame["score"] == 1, answer_nll=0.0)


def new_task(start: str, value: float) -> pd.DataFrame:
    right = np.arange(60) < round(value * 60)
    frame = pd.DataFrame({"step": 0, "unit": 2000 + np.arange(60), "score": right.astype(float), "split": NEW})
    return frame.assign(
        start=start, training=RIGHT, units=50, rate=1.0, seed=0, kind="answer", question=frame["unit"], exact_match=False, answer_nll=0.0
    )


def facts(**starts: Curve) -> pd.DataFrame:
    return pd.concat([curve(start, values) for start, values in starts.items()], ignore_index=True)


def known(units: int = UNITS, modal: float = 0.05) -> dict[str, Any]:
    return {"floors": {"modal_answer": [modal, modal - 0.02, modal + 0.02], "shuffled_answers": 0.01}, "units": {TEST: units}}


def diagnosed(frame: pd.DataFrame, data: dict[str, Any] | None = None, scored: pd.DataFrame | None = None) -> Verdict:
    data = data or known()
    none = pd.DataFrame(columns=["start", "state", "measure", "value"])
    found = effects(frame, data, seed=0)
    return verdict(found, gates(found, data, none if scored is None else scored), deciding_rate(frame)[1])


def test_what_comes_back_on_other_units_is_spurious() -> None:
    said = diagnosed(facts(before=KNOWN, after=FAST, base=SLOW, random=FLAT))
    assert said.kind == "spurious" and "100% of the loss came back" in said.sentence
    assert "something is left, or the new task taught what both tasks share" in said.standing


def test_a_model_that_never_had_the_old_task_is_not_said_to_have_something_left_of_it() -> None:
    """The new task taught it the form, so it is sooner than the base; as the base, it shows that the old training left nothing more."""
    form = (0.05, 0.55, 0.9, 0.94, 0.95)
    alone = diagnosed(facts(before=KNOWN, after=form, base=SLOW, random=FLAT))
    assert "A `base` that learned the new task alone would tell which" in alone.standing
    beside = diagnosed(facts(before=KNOWN, after=form, base=form, random=FLAT))
    assert beside.standing.startswith("Nothing of the old task's training shows")


def test_what_does_not_come_back_is_real() -> None:
    assert diagnosed(facts(before=KNOWN, after=FLAT, random=FLAT)).kind == "real"


def test_half_of_it_is_both() -> None:
    assert diagnosed(facts(before=KNOWN, after=(0.05, 0.4, 0.5, 0.5, 0.5), random=FLAT)).kind == "both"


def test_an_unchanged_model_lost_nothing() -> None:
    assert diagnosed(facts(before=KNOWN, after=KNOWN, random=FLAT)).kind == "nothing lost"


def test_swapped_models_are_refused() -> None:
    said = diagnosed(facts(before=FAST, after=KNOWN, random=FLAT))
    assert said.kind == "cannot be said" and said.decided_by == "the old task was known before" and "right way round" in said.change


def test_all_answers_alike_are_refused() -> None:
    said = diagnosed(facts(before=(1.0,) * 5, after=FAST, random=FLAT), known(modal=1.0))
    assert said.kind == "cannot be said" and said.decided_by == "the old task was known before"


# Pairs in which one reading is right and a plausible other one is wrong.


def test_a_high_recovery_that_random_weights_reach_as_well_says_nothing() -> None:
    """By the spurious share alone it would be spurious; but the training teaches the task by itself."""
    frame = facts(before=KNOWN, after=FAST, random=(0.0, 0.2, 0.5, 0.9, 0.95))
    assert effects(frame, known(), 0)["came_back"].interval.low > 0.8
    said = diagnosed(frame)
    assert said.kind == "cannot be said" and said.decided_by == "beyond_training"


def test_what_comes_back_up_to_chance_did_not_come_back() -> None:
    """Of four possible answers the new task took all; recovery brings the form back, and with it a quarter by chance."""
    quarter = (0.0, 0.1, 0.25, 0.25, 0.25)
    frame = facts(before=KNOWN, after=quarter, random=quarter)
    assert effects(frame, known(), 0)["came_back"].interval.low > 0.1
    said = diagnosed(frame, known(modal=0.25))
    assert said.kind == "real" and "only 0%" in said.sentence and "learned again" in said.to_do


def test_nothing_back_from_a_training_that_taught_nothing_is_not_real() -> None:
    """The same held-out curve as a real loss, but recovery did not learn its own training questions either."""
    frame = pd.concat([curve("before", KNOWN), curve("after", FLAT, training=NOT_LEARNED), curve("random", FLAT)])
    said = diagnosed(frame)
    assert said.kind == "cannot be said" and said.decided_by == "training_questions" and "probe.steps" in said.change


def test_a_recovery_that_still_rises_is_not_called_real() -> None:
    frame = facts(before=KNOWN, after=(0.05, 0.1, 0.2, 0.25, 0.6), random=FLAT)
    said = diagnosed(frame)
    assert said.kind == "cannot be said" and said.decided_by == "still_rising" and said.sentence.startswith("At least")
    assert re.fullmatch(r"at least \d+% of the loss is spurious", said.heading)
    assert diagnosed(facts(before=KNOWN, after=KNOWN, random=FLAT)).heading == "nothing lost"
    weak = pd.concat([curve("before", KNOWN), curve("after", FLAT, training=NOT_LEARNED), curve("random", FLAT)])
    assert diagnosed(weak).heading == "no verdict"


def test_what_the_base_recovers_as_well_is_told_as_knowledge_of_the_base() -> None:
    with_base = diagnosed(facts(before=KNOWN, after=SLOW, base=SLOW, random=FLAT))
    assert with_base.kind == "spurious" and "knowledge of the base" in with_base.standing
    without = diagnosed(facts(before=KNOWN, after=SLOW, random=FLAT))
    assert without.kind == "spurious" and without.standing.startswith("Without `base`")


def test_ahead_of_the_base_at_first_and_as_far_in_the_end_is_told_as_that() -> None:
    said = diagnosed(facts(before=KNOWN, after=FAST, base=SLOW, random=FLAT))
    assert re.search(
        r"ahead of the same training from the base, by 0\.\d\d \[.*\] in its first quarter, and as far in the end", said.standing
    )
    lower = diagnosed(facts(before=KNOWN, after=FAST, base=(0.05, 0.1, 0.2, 0.3, 0.4), random=FLAT))
    assert "] at its end: " in lower.standing


def test_a_share_just_below_none_is_no_negative_zero() -> None:
    frame = facts(before=KNOWN, after=(0.05, 0.05, 0.05, 0.05, 0.049), random=(0.05, 0.05, 0.05, 0.05, 0.053))
    assert "-0%" not in diagnosed(frame).sentence and percent(-0.003) == "0%" and percent(-0.014) == "-1%"
    assert number_text(Interval(-0.001, -0.02, 0.001)) == "0.00 [-0.02, 0.00]"


def test_the_base_that_comes_further_shows_that_more_than_form_was_lost() -> None:
    said = diagnosed(facts(before=KNOWN, after=(0.05, 0.3, 0.5, 0.5, 0.5), base=FAST, random=FLAT))
    assert said.kind == "both" and "95% against 50%: the new task took more than the form" in said.standing


def test_the_rate_is_chosen_on_training_questions_alone() -> None:
    """The low rate has the better held-out curve, but did not learn what it trained on; the high one decides."""
    slow = [curve("after", FAST, training=NOT_LEARNED), curve("before", KNOWN), curve("random", FLAT)]
    quick = [curve("after", FLAT, rate=3.0), curve("before", KNOWN, rate=3.0), curve("random", FLAT, rate=3.0)]
    frame = pd.concat([*slow, *quick], ignore_index=True)
    assert deciding_rate(frame) == (3.0, True)
    assert diagnosed(frame).kind == "real"


def test_a_new_task_that_was_not_learned_stops_the_verdict() -> None:
    frame = pd.concat([facts(before=KNOWN, after=FAST, random=FLAT), new_task("before", 0.1), new_task("after", 0.12)])
    said = diagnosed(frame)
    assert said.kind == "cannot be said" and said.decided_by == "the new task was learned after"
    learned = pd.concat([facts(before=KNOWN, after=FAST, random=FLAT), new_task("before", 0.1), new_task("after", 0.9)])
    assert diagnosed(learned).kind == "spurious"


@pytest.mark.parametrize("measure, value", [("known_wordings", 0.3), ("same_alone", 0.9)])
def test_scores_that_depend_on_wording_or_batch_stop_the_verdict(measure: str, value: float) -> None:
    scored = pd.DataFrame([{"start": "before", "state": "given", "measure": measure, "value": value}])
    said = diagnosed(facts(before=KNOWN, after=FAST, random=FLAT), scored=scored)
    assert said.kind == "cannot be said" and not said.gates[-1].passed


def test_few_units_give_no_verdict_and_say_how_many_would() -> None:
    frame = pd.concat([curve("before", KNOWN, 12), curve("after", (0.05, 0.5, 0.85, 0.85, 0.85), 12), curve("random", FLAT, 12)])
    said = diagnosed(frame, known(12))
    assert said.kind == "cannot be said" and "measured units in place of 12" in said.change


def test_a_loss_of_nearly_all_is_sure_with_thirty_units() -> None:
    """One unit of thirty that random weights get right by chance takes nothing from what is sure."""
    one = (0.0, 0.0, 0.03, 0.03, 0.03)
    frame = pd.concat([curve("before", (1.0,) * 5, 30), curve("after", (0.0, 0.5, 1, 1, 1), 30), curve("random", one, 30)])
    assert effects(frame, known(30), 0)["loss"].interval.low > 0.8
    assert diagnosed(frame, known(30)).kind == "spurious"


def test_three_units_are_too_few_to_look_at() -> None:
    frame = pd.concat([curve("before", KNOWN, 3), curve("after", FAST, 3), curve("random", FLAT, 3)])
    assert any(gate.name == "enough units" and not gate.passed for gate in diagnosed(frame, known(3)).gates)


def test_units_needed_shrinks_a_known_interval_to_the_level() -> None:
    """An interval that shrinks with the root: of 50 units +-0.2 around 0.7, so 0.1 at 200; a tenth is added."""
    found = units_needed(Effect(Interval(0.7, 0.5, 0.9), "", 50, 50), 0.8)
    assert found == pytest.approx(220, abs=1)
    assert units_needed(Effect(Interval(0.799, 0.5, 0.9), "", 50, 50), 0.8) is None


def test_the_interval_of_the_share_is_that_of_the_delta_method() -> None:
    """Many units, so that the ratio is nearly normal: its standard error by hand."""
    generator = np.random.default_rng(1)
    before, after = generator.random(2000) < 0.9, generator.random(2000) < 0.2
    recovered = generator.random(2000) < 0.6
    series = [pd.Series(values.astype(float)) for values in (before, after, recovered)]
    found = spurious_share(*series, pd.Series(np.zeros(2000)), seed=0)
    b, d, r = (each.to_numpy() for each in series)
    share = (r.mean() - d.mean()) / (b.mean() - d.mean())
    residual = ((r - d) - share * (b - d)) / (b.mean() - d.mean())
    half = norm.ppf(0.975) * residual.std(ddof=1) / np.sqrt(len(residual))
    assert found.value == pytest.approx(share)
    assert (found.low, found.high) == pytest.approx((share - half, share + half), abs=0.006)


@pytest.mark.parametrize("truth", [0.03, 0.97])
def test_the_interval_of_a_share_near_its_bounds_has_the_truth_inside(truth: float) -> None:
    """Of thirty units that all do the same (as in four samples of ten here) every bootstrap sample is the same."""
    generator = np.random.default_rng(2)
    ones, zeros = pd.Series(np.ones(30)), pd.Series(np.zeros(30))
    inside = []
    for _ in range(300):
        found = spurious_share(ones, zeros, pd.Series((generator.random(30) < truth).astype(float)), zeros, seed=0)
        assert found.high - found.low > 0.1
        inside.append(found.low <= truth <= found.high)
    assert np.mean(inside) > 0.93


def test_an_interval_at_a_bound_is_narrower_the_more_is_asked_of_each_unit() -> None:
    ones, zeros = pd.Series(np.ones(30)), pd.Series(np.zeros(30))
    one, six = (spurious_share(ones, zeros, ones, zeros, seed=0, answers=answers) for answers in (1, 6))
    assert one.low < six.low < 1 < six.high < one.high
