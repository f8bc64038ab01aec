"""Is what a model lost gone, or only hidden? The rules of docs/diagnose.md, which compare intervals and nothing else. (No torch.)

An accuracy is the mean score of the measured questions of the old task, of units that recovery does not train on. With `before` b, `after`
d, `recovered` r, and g what the same training gives random weights, the *spurious share* is (r - f) / (b - f), where f is the larger of d
and g: what the training teaches by itself, such as the form and the most frequent answers, did not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forgetting.analysis.given import (
    FEWEST_UNITS,
    NEGLIGIBLE,
    Effect,
    Gate,
    accuracy,
    answers_of_unit,
    counted,
    difference,
    floor_of_knowledge,
    more_units,
    number_text,
    percent,
    points,
    scored_alike,
    unmet,
)
from forgetting.data.probed import DOSE, NEW, RIGHT, SHUFFLED, TEST, TRAIN, WORDINGS, deciding_rate
from forgetting.intervals import CONFIDENCE, TAILS, Interval, unit_bootstrap
from forgetting.statistics import paired_difference

LITTLE, MOST = 0.2, 0.8
"""Spurious shares below which next to nothing came back, and above which next to all did."""
HALF = 0.5
"""Above this share, what did not come back is the smaller part, and its interval the one that is near a bound."""
DRAWS = 2000
WORDINGS_KNOWN = 0.5
"""Of the questions with several wordings, at least so many must be known in two thirds of them."""
Kind = Literal["spurious", "real", "both", "nothing lost", "cannot be said"]


@dataclass(frozen=True)
class Verdict:
    """kind: of the loss. sentence: for the first screen. decided_by: the row of the numbers that decided. change: what would change it.
    standing: what came back, against the base."""

    kind: Kind
    sentence: str
    decided_by: str
    change: str
    standing: str = ""
    gates: list[Gate] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """What is said of the loss, in few words: without a verdict the bound that is sure, where there is one."""
        if self.kind == "cannot be said" and self.sentence.startswith("At least"):
            return self.sentence.partition(";")[0].replace("At", "at", 1)
        return {
            "spurious": "the loss is spurious",
            "real": "the loss is real",
            "both": "the loss is part spurious, part real",
            "cannot be said": "no verdict",
        }.get(self.kind, self.kind)

    @property
    def to_do(self) -> str:
        """What follows for somebody who wants the old task back; empty without a verdict."""
        return {
            "spurious": "A short training on a few old examples brings it back; `advise` says what keeps it from the start.",
            "real": "A short training does not bring it back: the old data have to be learned again, or kept among those of the new task.",
            "both": "A short training brings a part back; the rest of the old data has to be learned again, or kept among the new ones.",
        }.get(self.kind, "")


class Scores:
    """Mean scores by unit of the probes, all of one rate."""

    def __init__(self, facts: pd.DataFrame, rate: float) -> None:
        self.facts = facts[facts["rate"] == rate]
        self.last = int(facts["step"].max())

    def of(self, start: str, step: int, training: str = RIGHT, split: str = TEST, units: int | None = None) -> pd.Series:
        """By unit, the mean over questions and seeds; empty where this was not measured."""
        rows = self.facts
        chosen = (rows["start"] == start) & (rows["step"] == step) & (rows["training"] == training) & (rows["split"] == split)
        if units is not None:
            chosen &= rows["units"] == units
        return rows[chosen].groupby("unit")["score"].mean()

    def questions(self, split: str = TEST) -> int:
        return int(self.facts.loc[self.facts["split"] == split, "question"].nunique())


def spurious_share(before: pd.Series, after: pd.Series, recovered: pd.Series, taught: pd.Series, seed: int, answers: int = 1) -> Interval:
    """Of the same units, of so many `answers` each, with a percentile interval over them, at least as wide as `_least_width`; none where
    before is not surely above after and what random weights were `taught`."""
    values = np.stack([series.to_numpy(dtype=float) for series in (before, after, recovered, taught)])
    drawn = unit_bootstrap(values.shape[1], DRAWS, seed) @ values.T / values.shape[1]

    def share(means: NDArray[np.float64]) -> NDArray[np.float64]:
        b, d, r, g = means.T
        floor = np.maximum(d, g)
        return np.where(b - floor > NEGLIGIBLE / 2, (r - floor) / np.maximum(b - floor, NEGLIGIBLE / 2), nan)

    value, draws = float(share(values.mean(axis=1)[None])[0]), share(drawn)
    defined = draws[~np.isnan(draws)]
    if not isfinite(value) or len(defined) < CONFIDENCE * DRAWS:
        return Interval(value, nan, nan)
    low, high = np.quantile(defined, TAILS, method="inverted_cdf")
    least = _least_width(value, values, answers)
    return Interval(value, min(float(low), least.low), max(float(high), least.high))


def _least_width(value: float, values: NDArray[np.float64], answers: int) -> Interval:
    """The share `value` with the interval that the nearer of its ends gives: what did not come back, before - recovered, or what did,
    recovered - floor, by `paired_difference`. No bootstrap sample of units that all agree differs from another, yet so many units do not
    show that all would. values: (4, units), before, after, recovered, taught."""
    before, after, recovered, taught = values
    floor = max(after, taught, key=lambda scores: float(scores.mean()))
    lost = float(before.mean() - floor.mean())
    if value > HALF:
        missing = paired_difference(before, recovered, answers)
        return Interval(value, 1 - missing.high / lost, 1 - missing.low / lost)
    back = paired_difference(recovered, floor, answers)
    return Interval(value, back.low / lost, back.high / lost)


def effects(facts: pd.DataFrame, data: Mapping[str, Any], seed: int) -> dict[str, Effect]:
    """Every number of the verdict, by name; those that were not measured are absent. `facts`: PROBED rows; `data`: data.json."""
    rate, learned = deciding_rate(facts)
    scores = Scores(facts, rate)
    last, n = scores.last, scores.questions()
    before, after, recovered = scores.of("before", 0), scores.of("after", 0), scores.of("after", last)
    measured = {
        "before": (before, "the old task before"),
        "after": (after, "after the new task"),
        "recovered": (recovered, "after it, recovered on other units"),
        "before_probed": (scores.of("before", last), "before, after the same training"),
        "base": (scores.of("base", 0), "the base, which never learned the old task"),
        "base_probed": (scores.of("base", last), "the base, after the same training"),
        "random_probed": (scores.of("random", last), "random weights, after the same training"),
        "shuffled": (scores.of("after", last, SHUFFLED), "after it, trained on shuffled answers: what the form alone brings back"),
        "wordings": (scores.of("after", last, WORDINGS), "after it, trained on other wordings"),
        "training_questions": (scores.of("after", last, split=TRAIN), "recovery's own training questions, at its end"),
        "new_before": (scores.of("before", 0, split=NEW), "the new task before"),
        "new_after": (scores.of("after", 0, split=NEW), "the new task after"),
        "new_recovered": (scores.of("after", last, split=NEW), "the new task, once the old one is recovered"),
    }
    for units in sorted(facts.loc[facts["training"] == DOSE, "units"].unique()):
        name = f"dose_{units}"
        measured[name] = scores.of("after", last, DOSE, units=int(units)), f"after it, trained on {counted(units, 'unit')} alone"
    found = {name: Effect(accuracy(series), words, len(series), n) for name, (series, words) in measured.items() if len(series)}
    earlier = _earlier_step(scores)
    compared = {
        "loss": (before, after, "lost: before minus after"),
        "came_back": (recovered, after, "came back: recovered minus after"),
        "beyond_training": (before, scores.of("random", last), "before minus random weights with the same training"),
        "ahead_of_random": (recovered, scores.of("random", last), "recovered minus random weights with the same training"),
        "ahead_of_base": (recovered, scores.of("base", last), "recovered minus the base with the same training"),
        "early_ahead_of_base": (early(scores, "after"), early(scores, "base"), "the same in the mean over the first quarter of the steps"),
        "harm_of_probe": (before, scores.of("before", last), "what the same training takes from before"),
        "still_rising": (recovered, scores.of("after", earlier), f"recovered minus step {earlier} of recovery"),
        "new_learned": (scores.of("after", 0, split=NEW), scores.of("before", 0, split=NEW), "the new task: after minus before"),
    }
    for name, (first, second, words) in compared.items():
        if len(first) and len(second):
            found[name] = Effect(difference(first, second, n), words, len(first), n)
    taught = scores.of("random", last)
    answers = answers_of_unit(len(before), n)
    share = spurious_share(before, after, recovered, taught, seed, answers)
    found["spurious_share"] = Effect(share, "share of the loss that came back, beyond what random weights are taught", len(before), n)
    seeds = sorted(facts.loc[facts["training"] == RIGHT, "seed"].unique())
    for number in seeds if len(seeds) > 1 else ():
        one = Scores(facts[facts["seed"] == number], rate)
        of_seed = spurious_share(before, after, one.of("after", last), one.of("random", last), seed, answers)
        found[f"spurious_share_{number}"] = Effect(
            of_seed, f"the same, of the trainings in order {number} of the examples alone", len(before), n
        )
    modal = data["floors"]["modal_answer"]
    found["modal_answer"] = Effect(Interval(*modal), "always the most frequent answer of its kind", len(before), n)
    found["learning_rate_multiple"] = Effect(
        Interval(rate, nan, nan),
        "of the learning rate that decides" + ("" if learned else ", the highest: no rate learned its training questions"),
        0,
        0,
    )
    return found


def _earlier_step(scores: Scores) -> int:
    """The last step that was measured up to two thirds of the way."""
    steps = scores.facts.loc[scores.facts["split"] == TEST, "step"].unique()
    return int(max(step for step in steps if step <= 2 / 3 * scores.last))


def early(scores: Scores, start: str) -> pd.Series:
    """By unit, the mean over the measured steps from the first to a quarter of the way, but for step 0."""
    rows = scores.facts
    chosen = (rows["start"] == start) & (rows["training"] == RIGHT) & (rows["split"] == TEST) & rows["step"].between(1, scores.last / 4)
    return rows[chosen].groupby("unit")["score"].mean()


def gates(found: Mapping[str, Effect], data: Mapping[str, Any], scored: pd.DataFrame) -> list[Gate]:
    """What must hold for a verdict. `scored`: SCORED rows of `before`, for wordings and batches."""
    before = found["before"].interval
    floor = floor_of_knowledge(data)
    units = data["units"][TEST]
    listed = [
        Gate(
            "the old task was known before",
            before.low > floor + NEGLIGIBLE,
            f"{number_text(before)} right before, where knowing nothing gives {floor:.2f}",
            "Are before and after the right way round? Are prompt, separator, end token and measure those that the model was trained with? "
            "A measure of written text is more lenient than exact.",
        ),
        Gate(
            "enough units",
            units >= FEWEST_UNITS,
            f"{units} measured units",
            f"Give more old examples: {2 * FEWEST_UNITS} units at the very least, half of them to be measured; about 200 for a sure one.",
        ),
    ]
    if "new_learned" in found:
        learned = found["new_learned"].interval
        listed.append(
            Gate(
                "the new task was learned after",
                learned.low > 0,
                f"{number_text(found['new_before'].interval)} right before, {number_text(found['new_after'].interval)} after",
                "A model that did not learn the new task tells nothing about what learning it costs. Is `new` what `after` was trained on?",
            )
        )
    measured = scored[(scored["start"] == "before") & (scored["state"] == "given")].groupby("measure")["value"].first().to_dict()
    if (known := measured.get("known_wordings")) is not None:
        advice = "What `before` knows in one wording alone is no knowledge that can be lost."
        listed.append(Gate("known in several wordings", known >= WORDINGS_KNOWN, f"{percent(known)} of the questions", advice))
    if (alike := measured.get("same_alone")) is not None:
        listed.append(scored_alike(alike, "diagnose"))
    return listed


def verdict(found: Mapping[str, Effect], checked: Iterable[Gate], learned_own: bool) -> Verdict:
    """The rules. `learned_own`: whether recovery learned its own training questions; where it did not, nothing is called real."""
    listed = list(checked)
    if refused := unmet(listed):
        sentence, first = refused
        return Verdict("cannot be said", sentence, first.name, first.advice, gates=listed)
    loss = found["loss"].interval
    before, after, recovered = (found[name].interval for name in ("before", "after", "recovered"))
    told = f"{percent(before.value)} right before, {percent(after.value)} after"
    if loss.high < NEGLIGIBLE:
        return Verdict(
            "nothing lost",
            f"Nothing that matters was lost: {told}; the loss is {points(loss)}.",
            "loss",
            f"A loss of more than {percent(NEGLIGIBLE)}.",
            gates=listed,
        )
    if not loss.low > 0:
        return _unsure("Whether anything was lost cannot be said", f"{told}; the loss is {points(loss)}", "loss", found, listed, 0.0)
    standing = _standing(found)
    told += f", {percent(recovered.value)} once trained again on other units"
    if not found["beyond_training"].interval.low > NEGLIGIBLE:
        return Verdict(
            "cannot be said",
            f"Nothing can be said: {told}, but the same training takes random weights as far.",
            "beyond_training",
            "The probe teaches the task by itself: fewer examples or steps (diagnose.train_share, diagnose.probe.steps).",
            standing,
            listed,
        )
    share = found["spurious_share"].interval
    if not isfinite(share.low):
        told += "; the loss is too small beside its error"
        return _unsure("How much of the loss came back cannot be said", told, "loss", found, listed, NEGLIGIBLE, standing)
    return _of_share(share, told, found, listed, learned_own, standing)


def _of_share(share: Interval, told: str, found: Mapping[str, Effect], listed: list[Gate], learned_own: bool, standing: str) -> Verdict:
    came = f"{percent(share.value)} of the loss came back [{percent(share.low)}, {percent(share.high)}]"
    rising = "still_rising" in found and found["still_rising"].interval.low > 0
    if share.low >= MOST:
        change = "Other old examples of which surely less comes back."
        sentence = f"The loss is spurious, hidden and not gone: {came} ({told})."
        return Verdict("spurious", sentence, "spurious_share", change, standing, listed)
    too_weak = (
        "recovery did not even learn its own training questions"
        if not learned_own
        else "recovery was still under way when it ended"
        if rising
        else ""
    )
    if too_weak:
        row = "training_questions" if not learned_own else "still_rising"
        if share.low > LITTLE:
            sentence = f"At least {percent(share.low)} of the loss is spurious; whether the rest is gone cannot be said, as {too_weak}: "
            sentence += f"{came} ({told})."
        else:
            sentence = f"Whether the loss is real cannot be said, as {too_weak}: {came} ({told})."
        return Verdict("cannot be said", sentence, row, "More steps or a higher rate (diagnose.probe.steps, rates).", standing, listed)
    if share.high <= LITTLE:
        sentence = f"The loss is real, not just hidden: only {came.replace('the loss', 'it')} ({told})."
        change = "A recovery that brings more back: with more old examples, or another rate or budget (diagnose.probe.rates, steps)."
        return Verdict("real", sentence, "spurious_share", change, standing, listed)
    if share.low >= LITTLE and share.high <= MOST:
        sentence = f"The loss is part spurious, part real: {came}, and the rest did not ({told})."
        change = "A recovery that brings more back: with more old examples, or another rate or budget (diagnose.probe.rates, steps)."
        return Verdict("both", sentence, "spurious_share", change, standing, listed)
    nearest = MOST if abs(share.value - MOST) < abs(share.value - LITTLE) else LITTLE
    begin = (
        f"At least {percent(share.low)} of the loss is spurious; whether some is real cannot be said"
        if share.low > LITTLE
        else ("Whether the loss is spurious cannot be said")
    )
    return _unsure(begin, f"{came}; {told}", "spurious_share", found, listed, nearest, standing)


def _unsure(begin: str, told: str, row: str, found: Mapping[str, Effect], listed: list[Gate], level: float, standing: str = "") -> Verdict:
    change = more_units(found[row], level, "measured units")
    return Verdict("cannot be said", f"{begin}: {told}.", row, change, standing, listed)


def _standing(found: Mapping[str, Effect]) -> str:
    """What recovery of `after` shows against that of the base."""
    if "ahead_of_base" not in found:
        return (
            "Without `base` it cannot be told whether what came back was left of the old task's training, or is known to any model of this "
            "kind that is shown the form."
        )
    at_end, at_first = found["ahead_of_base"].interval, found.get("early_ahead_of_base", found["ahead_of_base"]).interval
    if at_end.low > 0 or (at_first.low > 0 and not at_end.high < 0):
        early_alone = f"by {number_text(at_first)} in its first quarter, and as far in the end"
        ahead = f"by {number_text(at_end)} at its end" if at_end.low > 0 else early_alone
        return (
            f"Recovery is ahead of the same training from the base, {ahead}: of the old task's training something is left, or the new task "
            "taught what both tasks share, such as the form of the questions. A `base` that learned the new task alone would tell which."
        )
    if at_end.high < 0:
        base, recovered = (found[name].interval.value for name in ("base_probed", "recovered"))
        both = f"{percent(base)} against {percent(recovered)}"
        return f"The base comes further by the same training, {both}: the new task took more than the form."
    if at_first.high < 0:
        return "Nothing of the old task's training shows: the base recovers sooner, and as far."
    return (
        "Nothing of the old task's training shows beyond the base, which comes as far by the same training: what came back is knowledge of "
        "the base."
    )
