"""Which way to learn something new keeps the most of the old? The rules of docs/advise.md, which compare intervals. (No torch.)

Every method may stop where it likes once it has learned the new task as well as plain fine-tuning does, to nine tenths: the *level*. Where
it stops, at which of the rates that were tried, and which method is best, is chosen on validation units; what is said of them is measured
on others. Plain fine-tuning has its rate by the same rule, so that a method must beat what learning slower does by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from forgetting.analysis.given import (
    FEWEST_UNITS,
    NEGLIGIBLE,
    Effect,
    Gate,
    accuracy,
    difference,
    floor_of_knowledge,
    more_units,
    number_text,
    points,
    scored_alike,
    unmet,
)
from forgetting.data.probed import HALF_WAY, ROUNDING
from forgetting.data.tried import HELD, OLD_TEST, OLD_VAL, PLAIN, TRAINED, Pair
from forgetting.intervals import Interval
from forgetting.statistics import DIFFERENCE, PROPORTION, Kind, mean_over_seeds

REACHED = 0.9
"""Of what plain fine-tuning gains on the new task, a method must gain so much, in every seed, to have learned it."""
NONE = Interval(nan, nan, nan)
Decision = Literal["take", "nothing forgotten", "nothing helps", "cannot be said"]


class Attempt(NamedTuple):
    """A method at one of the rates."""

    method: str
    rate: float


class Trials:
    """Mean scores by unit of all trials. `tried`: TRIED rows; methods: in the order of the advice.

    level: accuracy of the new task at which it counts as learned: nine tenths of what plain fine-tuning gains at its best rate, in its
    worst seed. judged: by method the attempt that is compared with those of others; plain: that of plain fine-tuning."""

    def __init__(self, tried: pd.DataFrame, methods: Sequence[str]) -> None:
        self.rates, self.seeds = sorted(tried["rate"].unique()), sorted(tried["seed"].unique())
        self.attempts = [Attempt(method, rate) for method in methods for rate in self.rates]
        self.steps = sorted(int(step) for step in tried["step"].unique())
        self.new = judged_on(tried)
        self.questions = tried.groupby("split")["question"].nunique()
        self._units = tried.groupby(["method", "rate", "seed", "step", "split", "unit"])["score"].mean()
        before = self.mean(Attempt(PLAIN, self.rates[0]), self.seeds[0], 0, self.new.val)
        self.level = before + REACHED * (max(self.most(Attempt(PLAIN, rate)) for rate in self.rates) - before)
        self.judged = {method: self._judged([Attempt(method, rate) for rate in self.rates]) for method in methods}
        self.plain = self.judged[PLAIN]

    def _judged(self, attempts: Sequence[Attempt]) -> Attempt:
        """Of those that learned the new task the one that keeps the most of the old where it stops; if none did, the one that came
        nearest. One rate for all seeds, chosen on validation units."""
        kept = {attempt: self.kept(attempt, steps) for attempt in attempts if (steps := self.stops(attempt))}
        return best_of(kept or {attempt: self.most(attempt) for attempt in attempts})

    def of(self, attempt: Attempt, seed: int, step: int, split: str) -> pd.Series:
        """By unit."""
        found: pd.Series = self._units.loc[(*attempt, seed, step, split)]
        return found

    def mean(self, attempt: Attempt, seed: int, step: int, split: str) -> float:
        return float(self.of(attempt, seed, step, split).mean())

    def most(self, attempt: Attempt) -> float:
        """Of the new task on validation units, in the worst seed."""
        return min(max(self.mean(attempt, seed, step, self.new.val) for step in self.steps) for seed in self.seeds)

    def kept(self, attempt: Attempt, steps: Mapping[int, int]) -> float:
        """Of the old task on validation units, at a step of each seed."""
        return float(np.mean([self.mean(attempt, seed, step, OLD_VAL) for seed, step in steps.items()]))

    def over_seeds(self, kind: Kind, one: Callable[[int], Interval]) -> Interval:
        """What `one` gives for each seed, as one interval: of a single seed that over units, of several the house's over both."""
        found = [one(seed) for seed in self.seeds]
        if len(found) == 1:
            return found[0]
        values, lows, highs = zip(*found, strict=True)
        return mean_over_seeds(values, kind, lows, highs)

    def accuracy(self, attempt: Attempt, steps: Mapping[int, int], split: str) -> Interval:
        """At a step of each seed."""
        return self.over_seeds(PROPORTION, lambda seed: accuracy(self.of(attempt, seed, steps[seed], split)))

    def difference(self, first: tuple[Attempt, Mapping[int, int]], second: tuple[Attempt, Mapping[int, int]], split: str) -> Interval:
        """Of two attempts, each at a step of each seed, on the same units."""

        def one(seed: int) -> Interval:
            ours, others = (self.of(attempt, seed, steps[seed], split) for attempt, steps in (first, second))
            return difference(ours, others, int(self.questions[split]))

        return self.over_seeds(DIFFERENCE, one)

    def at(self, step: int) -> dict[int, int]:
        """One step for all seeds."""
        return dict.fromkeys(self.seeds, step)

    def stops(self, attempt: Attempt) -> dict[int, int] | None:
        """By seed the step with the most of the old task of those at which the new one is learned, the first of equal ones; None where a
        seed never learns it. On validation units."""
        found = {}
        for seed in self.seeds:
            learned = [step for step in self.steps[1:] if self.mean(attempt, seed, step, self.new.val) >= self.level - ROUNDING]
            if not learned:
                return None
            found[seed] = max(learned, key=lambda step: self.mean(attempt, seed, step, OLD_VAL))
        return found


def judged_on(tried: pd.DataFrame) -> Pair:
    """On which new examples a method is judged: on those that no trial trains on if plain fine-tuning surely gains at least half as much
    there as on those that it trains on, at its best rate and step; else on the latter, as what has to be told cannot be guessed. Examples
    that are reported play no part. `tried`: TRIED rows."""
    plain = tried[tried["method"] == PLAIN]

    def gained(split: str) -> Interval:
        by_unit = plain[plain["split"] == split].groupby(["step", "rate", "unit"])["score"].mean().unstack("unit")
        if by_unit.empty:
            return Interval(0.0, 0.0, 0.0)
        before, found = by_unit.loc[0].iloc[0].mean(), accuracy(by_unit.loc[by_unit.mean(axis=1).idxmax()])
        return Interval(*(number - before for number in found))

    return HELD if gained(HELD.val).low >= max(HALF_WAY * gained(TRAINED.val).value, 1e-9) else TRAINED


@dataclass(frozen=True)
class Standing:
    """One attempt. stops: see `Trials.stops`, None where it did not learn; chosen_by: the old task on validation units there; old, new: on
    the reported units, and of one that did not learn, at its end; gain: of old over plain fine-tuning; behind: what it keeps less than the
    best other method that learned, each at the rate at which it is judged."""

    attempt: Attempt
    stops: Mapping[int, int] | None
    chosen_by: float
    old: Interval
    new: Interval
    gain: Interval = NONE
    behind: Interval = NONE

    @property
    def learned(self) -> bool:
        return self.stops is not None

    @property
    def stop(self) -> float:
        return float(np.mean(list(self.stops.values()))) if self.stops else nan


@dataclass(frozen=True)
class Advised:
    """decision; method: which to take, at the rate at which it is judged, empty where none is named. sentence: for the first screen;
    sure: how sure it is, against the other methods; change: what would change it."""

    decision: Decision
    method: str
    sentence: str
    change: str
    sure: str = ""
    gates: list[Gate] = field(default_factory=list)


def standings(trials: Trials) -> dict[Attempt, Standing]:
    """Every attempt, in the order of the advice, and how far it is behind the best method that learned."""
    stops = {attempt: _confirmed_stops(trials, attempt) for attempt in trials.attempts}
    plain, last = stops[trials.plain], trials.at(trials.steps[-1])
    kept = {attempt: trials.kept(attempt, where or last) for attempt, where in stops.items()}
    learned = {attempt: kept[attempt] for attempt in trials.judged.values() if stops[attempt] and attempt != trials.plain}
    best = best_of(learned) if learned else None
    found: dict[Attempt, Standing] = {}
    for attempt, where in stops.items():
        gain = behind = NONE
        if where and plain and attempt != trials.plain:
            gain = trials.difference((attempt, where), (trials.plain, plain), OLD_TEST)
        if where and best and (of_best := stops[best]) and attempt != best:
            behind = trials.difference((best, of_best), (attempt, where), OLD_TEST)
        old, new = (trials.accuracy(attempt, where or last, split) for split in (OLD_TEST, trials.new.test))
        found[attempt] = Standing(attempt, where, kept[attempt], old, new, gain, behind)
    return found


def _confirmed_stops(trials: Trials, attempt: Attempt) -> dict[int, int] | None:
    """Where it stops, if the new task is there not surely worse than that of plain fine-tuning, by more than what is negligible, on the
    reported units: with few units a stop may be chosen by luck."""
    stops, plain = trials.stops(attempt), trials.stops(trials.plain)
    if stops and plain and attempt != trials.plain:
        less = trials.difference((trials.plain, plain), (attempt, stops), trials.new.test)
        return None if less.low > NEGLIGIBLE else stops
    return stops


def best_of(numbers: Mapping[Attempt, float]) -> Attempt:
    """The attempt with the highest number; of equal ones the first, which is the cheaper method or the lower rate."""
    highest = max(numbers.values())
    return next(attempt for attempt, number in numbers.items() if number >= highest - ROUNDING)


def gates(trials: Trials, data: Mapping[str, Any], same_alone: float) -> list[Gate]:
    """What must hold for advice. `data`: data.json."""
    plain = trials.plain
    before = trials.accuracy(plain, trials.at(0), OLD_TEST)
    floor = floor_of_knowledge(data)
    fewest = min(data["units"][split] for split in (OLD_VAL, OLD_TEST, *trials.new))
    stops = trials.stops(plain)
    learned = trials.difference((plain, stops), (plain, trials.at(0)), trials.new.test) if stops else NONE
    new_before = trials.accuracy(plain, trials.at(0), trials.new.test)
    new_after = trials.accuracy(plain, stops, trials.new.test) if stops else NONE
    return [
        Gate(
            "the old task is known",
            before.low > floor + NEGLIGIBLE,
            f"{number_text(before)} right, where knowing nothing gives {floor:.2f}",
            "What is not known cannot be forgotten. Are prompt, separator, end token and measure those that the model was trained with?",
        ),
        Gate(
            "enough units",
            fewest >= FEWEST_UNITS,
            f"{fewest} in the smallest group that is measured",
            f"Give more examples: {4 * FEWEST_UNITS} units of each task at the very least, about 400 for a sure answer.",
        ),
        Gate(
            "plain fine-tuning learns the new task",
            learned.low > 0 and (trials.new == HELD or new_after.value >= new_before.value + HALF_WAY * (1 - new_before.value)),
            f"{new_before.value:.2f} right before, {new_after.value:.2f} after",
            "More steps or a higher rate (advise.trial.steps, learning_rate): a trial that learns nothing tells nothing about its cost.",
        ),
        scored_alike(same_alone, "advise"),
    ]


def advise(trials: Trials, found: Mapping[Attempt, Standing], checked: Sequence[Gate], words: Mapping[Attempt, str]) -> Advised:
    """The rules, the first that applies. words: each attempt for a reader."""
    listed = list(checked)
    if refused := unmet(listed):
        sentence, first = refused
        return Advised("cannot be said", "", sentence, first.advice, gates=listed)
    plain, before = found[trials.plain], trials.at(0)
    assert plain.stops is not None
    loss = trials.difference((trials.plain, before), (trials.plain, plain.stops), OLD_TEST)
    by_plain, by_rate = words[trials.plain], _of_the_rate(trials, found, words)
    told = f"{by_plain} keeps {plain.old.value:.2f} of {trials.accuracy(trials.plain, before, OLD_TEST).value:.2f} of the old task"
    told += f" with the new one at {plain.new.value:.2f}"
    units = int(trials.of(trials.plain, trials.seeds[0], 0, OLD_TEST).size)
    if loss.high < NEGLIGIBLE:
        sentence = f"Nothing that matters is forgotten: {told} (a loss of {points(loss)}), so take {by_plain}.{by_rate}"
        return Advised("nothing forgotten", PLAIN, sentence, "A longer training, or more new examples: the trial is short.", gates=listed)
    if not loss.low > 0:
        return _unsure(f"Whether anything is forgotten cannot be said: {told}, a loss of {points(loss)}.{by_rate}", loss, units, listed)
    others = [found[attempt] for attempt in trials.judged.values() if found[attempt].learned and attempt != trials.plain]
    if not others:
        sentence = (
            f"No other method learned the new task in {trials.steps[-1]} steps, and {told}. Take none of them on this trial.{by_rate}"
        )
        return Advised("nothing helps", "", sentence, "More steps or a higher rate (advise.trial.steps, learning_rate).", gates=listed)
    best = found[best_of({each.attempt: each.chosen_by for each in others})]
    name = words[best.attempt]
    if best.gain.low > 0:
        sentence = f"Take {name}, about {best.stop:.0f} steps: it keeps {best.old.value:.2f} of the old task with the new one at "
        sentence += f"{best.new.value:.2f}; {told}. That is {points(best.gain)} more."
        change = "A longer training, more new examples, or another order of the examples (advise.trial.steps, seeds)."
        return Advised("take", best.attempt.method, sentence, change, _sure(best, others, words, len(trials.seeds)) + by_rate, listed)
    if all(each.gain.high < NEGLIGIBLE for each in others):
        sentence = f"No method keeps more than {by_plain}, as far as matters: {told}, {name} {best.old.value:.2f}.{by_rate}"
        change = "Other methods, or what brings the old task back afterwards: `snakemake diagnose` says whether it is only hidden."
        return Advised("nothing helps", PLAIN, sentence, change, gates=listed)
    begin = f"Whether any method keeps more than {by_plain} cannot be said: {told}, {name} {best.old.value:.2f}, "
    return _unsure(f"{begin}{points(best.gain)} more.{by_rate}", best.gain, units, listed)


def _of_the_rate(trials: Trials, found: Mapping[Attempt, Standing], words: Mapping[Attempt, str]) -> str:
    """What the rate does without any method: at which others plain fine-tuning learned, too, and surely kept less."""
    less = [each for each in found.values() if each.attempt.method == PLAIN and each.gain.high < 0]
    if not less:
        return ""
    lowest = " Lower rates were not tried." if trials.plain.rate == trials.rates[0] else ""
    told = ", ".join(f"{words[each.attempt]} keeps {each.old.value:.2f}" for each in less)
    return f" The rate alone makes a difference: {told}.{lowest}"


def _unsure(sentence: str, number: Interval, units: int, listed: list[Gate]) -> Advised:
    change = more_units(Effect(number, "", units), 0.0, "reported units of the old task", " (advise.units, more old examples)")
    return Advised("cannot be said", "", sentence, change, gates=listed)


def _sure(best: Standing, others: Sequence[Standing], words: Mapping[Attempt, str], seeds: int) -> str:
    """How the method that is taken stands against each other one."""
    groups: dict[str, list[str]] = {"It surely keeps more than": [], "Not told apart from it:": [], "On the reported units better:": []}
    more, same, less = groups.values()
    for each in others:
        if each.attempt != best.attempt and isfinite(each.behind.low):
            (more if each.behind.low > 0 else less if each.behind.high < 0 else same).append(words[each.attempt])
    parts = [f"{begin} {', '.join(names)}." for begin, names in groups.items() if names]
    if seeds == 1:
        parts.append("One order of the examples was tried: intervals are over units alone.")
    return " ".join(parts)


def curves_table(trials: Trials) -> pd.DataFrame:
    """CURVES rows."""
    rows: list[tuple[Any, ...]] = []
    for attempt in trials.attempts:
        for part, old, new in (("val", OLD_VAL, trials.new.val), ("test", OLD_TEST, trials.new.test)):
            for step in trials.steps:
                accuracies = (trials.accuracy(attempt, trials.at(step), split) for split in (old, new))
                rows.append((*attempt, part, step, *(number for interval in accuracies for number in interval)))
    names = [f"{name}{end}" for name in ("old", "new") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["method", "rate", "part", "step", *names])


def methods_table(trials: Trials, found: Mapping[Attempt, Standing], said: Advised, costs: pd.DataFrame) -> pd.DataFrame:
    """METHODS rows. `costs`: TRIALS rows."""
    by_attempt, last = costs.groupby(["method", "rate"]), trials.at(trials.steps[-1])
    rows = []
    for attempt, each in found.items():
        intervals = {"old": each.old, "new": each.new, "gain": each.gain, "behind": each.behind}
        ends = {f"{name}{end}": number for name, of in intervals.items() for end, number in zip(("", "_low", "_high"), of, strict=True)}
        cost, judged = by_attempt.get_group(attempt), attempt in trials.judged.values()
        row = attempt._asdict() | {name: cost[name].iloc[0] for name in ("learning_rate", "words")}
        row |= {"learned": each.learned, "judged": judged, "taken": judged and attempt.method == said.method, "stop": each.stop}
        row |= ends | {"chosen_by": each.chosen_by}
        row |= {f"{name}_end": trials.accuracy(attempt, last, split).value for name, split in (("old", OLD_TEST), ("new", trials.new.test))}
        row |= {"seconds": cost["seconds"].mean(), "trained_share": float((cost["trained"] / cost["weights"]).mean())}
        rows.append(row | {"stored": cost["stored"].mean()})
    return pd.DataFrame(rows)


def attempt_words(costs: pd.DataFrame) -> dict[Attempt, str]:
    """Each attempt for a reader; with its learning rate, where there are several. `costs`: TRIALS rows."""
    several = costs["rate"].nunique() > 1
    return {
        Attempt(row.method, row.rate): f"{row.words} (rate {row.learning_rate:.2g})" if several else row.words for row in costs.itertuples()
    }


def judged_words(trials: Trials) -> str:
    """On which examples the new task is measured, for a reader."""
    return (
        "examples that no trial trained on"
        if trials.new == HELD
        else "examples that every trial trains on, as plain fine-tuning learns no others"
    )
