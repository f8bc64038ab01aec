"""Which way to learn something new keeps the most of the old? The rules of docs/advise.md, which compare intervals. (No torch.)

Every method may stop where it likes once it has learned the new task as well as plain fine-tuning does, to nine tenths: the *level*. Where
it stops, and which method is best, is chosen on validation units; what is said of them is measured on others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal

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
from forgetting.data.probed import HALF_WAY
from forgetting.data.tried import HELD, OLD_TEST, OLD_VAL, PLAIN, TRAINED, Pair
from forgetting.intervals import Interval
from forgetting.statistics import DIFFERENCE, PROPORTION, Kind, mean_over_seeds

REACHED = 0.9
"""Of what plain fine-tuning gains on the new task, a method must gain so much, in every seed, to have learned it."""
NONE = Interval(nan, nan, nan)
Decision = Literal["take", "nothing forgotten", "nothing helps", "cannot be said"]


class Trials:
    """Mean scores by unit of all trials. `tried`: TRIED rows; methods: in the order of the advice."""

    def __init__(self, tried: pd.DataFrame, methods: Sequence[str]) -> None:
        self.methods, self.seeds = list(methods), sorted(tried["seed"].unique())
        self.steps = sorted(int(step) for step in tried["step"].unique())
        self.new = judged_on(tried)
        self.questions = tried.groupby("split")["question"].nunique()
        self._units = tried.groupby(["method", "seed", "step", "split", "unit"])["score"].mean()

    def of(self, method: str, seed: int, step: int, split: str) -> pd.Series:
        """By unit."""
        found: pd.Series = self._units.loc[(method, seed, step, split)]
        return found

    def mean(self, method: str, seed: int, step: int, split: str) -> float:
        return float(self.of(method, seed, step, split).mean())

    def over_seeds(self, kind: Kind, one: Callable[[int], Interval]) -> Interval:
        """What `one` gives for each seed, as one interval: of a single seed that over units, of several the house's over both."""
        found = [one(seed) for seed in self.seeds]
        if len(found) == 1:
            return found[0]
        values, lows, highs = zip(*found, strict=True)
        return mean_over_seeds(values, kind, lows, highs)

    def accuracy(self, method: str, steps: Mapping[int, int], split: str) -> Interval:
        """At a step of each seed."""
        return self.over_seeds(PROPORTION, lambda seed: accuracy(self.of(method, seed, steps[seed], split)))

    def difference(self, first: tuple[str, Mapping[int, int]], second: tuple[str, Mapping[int, int]], split: str) -> Interval:
        """Of two methods, each at a step of each seed, on the same units."""

        def one(seed: int) -> Interval:
            ours, others = (self.of(method, seed, steps[seed], split) for method, steps in (first, second))
            return difference(ours, others, int(self.questions[split]))

        return self.over_seeds(DIFFERENCE, one)

    def at(self, step: int) -> dict[int, int]:
        """One step for all seeds."""
        return dict.fromkeys(self.seeds, step)

    @property
    def level(self) -> float:
        """Accuracy of the new task at which it counts as learned: nine tenths of what plain fine-tuning gains, in its worst seed."""
        before = self.mean(PLAIN, self.seeds[0], 0, self.new.val)
        best = min(max(self.mean(PLAIN, seed, step, self.new.val) for step in self.steps) for seed in self.seeds)
        return before + REACHED * (best - before)

    def stops(self, method: str) -> dict[int, int] | None:
        """By seed the step with the most of the old task of those at which the new one is learned, the first of equal ones; None where a
        seed never learns it. On validation units."""
        found = {}
        for seed in self.seeds:
            learned = [step for step in self.steps[1:] if self.mean(method, seed, step, self.new.val) >= self.level - 1e-9]
            if not learned:
                return None
            found[seed] = max(learned, key=lambda step: self.mean(method, seed, step, OLD_VAL))
        return found


def judged_on(tried: pd.DataFrame) -> Pair:
    """On which new examples a method is judged: on those that no trial trains on if plain fine-tuning surely gains at least half as much
    there as on those that it trains on; else on the latter, as what has to be told cannot be guessed. Examples that are reported play no
    part. `tried`: TRIED rows."""
    plain = tried[tried["method"] == PLAIN]

    def gained(split: str) -> Interval:
        by_unit = plain[plain["split"] == split].groupby(["step", "unit"])["score"].mean().unstack("unit")
        if by_unit.empty:
            return Interval(0.0, 0.0, 0.0)
        before, found = by_unit.loc[0].mean(), accuracy(by_unit.loc[by_unit.mean(axis=1).idxmax()])
        return Interval(*(number - before for number in found))

    return HELD if gained(HELD.val).low >= max(HALF_WAY * gained(TRAINED.val).value, 1e-9) else TRAINED


@dataclass(frozen=True)
class Standing:
    """One method. stops: see `Trials.stops`, None where it did not learn; chosen_by: the old task on validation units there; old, new: on
    the reported units, and of a method that did not learn, at its end; gain: of old over plain fine-tuning; behind: what it keeps less
    than the best other method that learned."""

    method: str
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
    """decision; method: which to take, empty where none is named. sentence: for the first screen; sure: how sure it is, against the other
    methods; change: what would change it."""

    decision: Decision
    method: str
    sentence: str
    change: str
    sure: str = ""
    gates: list[Gate] = field(default_factory=list)


def standings(trials: Trials) -> dict[str, Standing]:
    """Every method, in the order of the advice, and how far it is behind the best one that learned."""
    stops = {method: _confirmed_stops(trials, method) for method in trials.methods}
    plain, last = stops[PLAIN], trials.at(trials.steps[-1])
    kept = {method: _kept(trials, method, where or last) for method, where in stops.items()}
    best = best_of({method: kept[method] for method, where in stops.items() if where and method != PLAIN})
    found: dict[str, Standing] = {}
    for method, where in stops.items():
        gain = behind = NONE
        if where and plain and method != PLAIN:
            gain = trials.difference((method, where), (PLAIN, plain), OLD_TEST)
        if where and best and (of_best := stops[best]) and method != best:
            behind = trials.difference((best, of_best), (method, where), OLD_TEST)
        old, new = (trials.accuracy(method, where or last, split) for split in (OLD_TEST, trials.new.test))
        found[method] = Standing(method, where, kept[method], old, new, gain, behind)
    return found


def _kept(trials: Trials, method: str, steps: Mapping[int, int]) -> float:
    """Of the old task on validation units, at a step of each seed."""
    return float(np.mean([trials.mean(method, seed, step, OLD_VAL) for seed, step in steps.items()]))


def _confirmed_stops(trials: Trials, method: str) -> dict[int, int] | None:
    """Where it stops, if the new task is there not surely worse than that of plain fine-tuning, by more than what is negligible, on the
    reported units: with few units a stop may be chosen by luck."""
    stops, plain = trials.stops(method), trials.stops(PLAIN)
    if stops and plain and method != PLAIN:
        less = trials.difference((PLAIN, plain), (method, stops), trials.new.test)
        return None if less.low > NEGLIGIBLE else stops
    return stops


def best_of(kept: Mapping[str, float]) -> str | None:
    """The method with the highest number; of equal ones the first, which is the cheaper."""
    return max(kept, key=lambda method: kept[method]) if kept else None


def gates(trials: Trials, data: Mapping[str, Any], same_alone: float) -> list[Gate]:
    """What must hold for advice. `data`: data.json."""
    before = trials.accuracy(PLAIN, trials.at(0), OLD_TEST)
    floor = floor_of_knowledge(data)
    fewest = min(data["units"][split] for split in (OLD_VAL, OLD_TEST, *trials.new))
    stops = trials.stops(PLAIN)
    learned = trials.difference((PLAIN, stops), (PLAIN, trials.at(0)), trials.new.test) if stops else NONE
    new_before = trials.accuracy(PLAIN, trials.at(0), trials.new.test)
    new_after = trials.accuracy(PLAIN, stops, trials.new.test) if stops else NONE
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


def advise(trials: Trials, found: Mapping[str, Standing], checked: Sequence[Gate], words: Mapping[str, str]) -> Advised:
    """The rules, the first that applies. words: each method for a reader."""
    listed = list(checked)
    if refused := unmet(listed):
        sentence, first = refused
        return Advised("cannot be said", "", sentence, first.advice, gates=listed)
    plain, before = found[PLAIN], trials.at(0)
    assert plain.stops is not None
    loss = trials.difference((PLAIN, before), (PLAIN, plain.stops), OLD_TEST)
    told = f"plain fine-tuning keeps {plain.old.value:.2f} of {trials.accuracy(PLAIN, before, OLD_TEST).value:.2f} of the old task"
    told += f" with the new one at {plain.new.value:.2f}"
    units = int(trials.of(PLAIN, trials.seeds[0], 0, OLD_TEST).size)
    if loss.high < NEGLIGIBLE:
        sentence = f"Nothing that matters is forgotten: {told} (a loss of {points(loss)}), so take plain fine-tuning."
        return Advised("nothing forgotten", PLAIN, sentence, "A longer training, or more new examples: the trial is short.", gates=listed)
    if not loss.low > 0:
        return _unsure(f"Whether anything is forgotten cannot be said: {told}, a loss of {points(loss)}.", loss, units, listed)
    others = [each for each in found.values() if each.learned and each.method != PLAIN]
    if not others:
        sentence = f"No other method learned the new task in {trials.steps[-1]} steps, and {told}. Take none of them on this trial."
        return Advised("nothing helps", "", sentence, "More steps or a higher rate (advise.trial.steps, learning_rate).", gates=listed)
    best = max(others, key=lambda each: each.chosen_by)  # of equal ones the first, as `best_of`
    name = words[best.method]
    if best.gain.low > 0:
        sentence = f"Take {name}, about {best.stop:.0f} steps: it keeps {best.old.value:.2f} of the old task with the new one at "
        sentence += f"{best.new.value:.2f}; {told}. That is {points(best.gain)} more."
        change = "A longer training, more new examples, or another order of the examples (advise.trial.steps, seeds)."
        return Advised("take", best.method, sentence, change, _sure(best, others, words, len(trials.seeds)), listed)
    if all(each.gain.high < NEGLIGIBLE for each in others):
        sentence = f"No method keeps more than plain fine-tuning, as far as matters: {told}, {name} {best.old.value:.2f}."
        change = "Other methods, or what brings the old task back afterwards: `snakemake diagnose` says whether it is only hidden."
        return Advised("nothing helps", PLAIN, sentence, change, gates=listed)
    begin = f"Whether any method keeps more than plain fine-tuning cannot be said: {told}, {name} {best.old.value:.2f}, "
    return _unsure(f"{begin}{points(best.gain)} more.", best.gain, units, listed)


def _unsure(sentence: str, number: Interval, units: int, listed: list[Gate]) -> Advised:
    change = more_units(Effect(number, "", units), 0.0, "reported units of the old task", " (advise.units, more old examples)")
    return Advised("cannot be said", "", sentence, change, gates=listed)


def _sure(best: Standing, others: Sequence[Standing], words: Mapping[str, str], seeds: int) -> str:
    """How the method that is taken stands against each other one."""
    groups: dict[str, list[str]] = {"It surely keeps more than": [], "Not told apart from it:": [], "On the reported units better:": []}
    more, same, less = groups.values()
    for each in others:
        if each.method != best.method and isfinite(each.behind.low):
            (more if each.behind.low > 0 else less if each.behind.high < 0 else same).append(words[each.method])
    parts = [f"{begin} {', '.join(names)}." for begin, names in groups.items() if names]
    if seeds == 1:
        parts.append("One order of the examples was tried: intervals are over units alone.")
    return " ".join(parts)


def curves_table(trials: Trials) -> pd.DataFrame:
    """CURVES rows."""
    rows: list[tuple[Any, ...]] = []
    for method in trials.methods:
        for part, old, new in (("val", OLD_VAL, trials.new.val), ("test", OLD_TEST, trials.new.test)):
            for step in trials.steps:
                accuracies = (trials.accuracy(method, trials.at(step), split) for split in (old, new))
                rows.append((method, part, step, *(number for interval in accuracies for number in interval)))
    names = [f"{name}{end}" for name in ("old", "new") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["method", "part", "step", *names])


def methods_table(trials: Trials, found: Mapping[str, Standing], said: Advised, costs: pd.DataFrame) -> pd.DataFrame:
    """METHODS rows. `costs`: TRIALS rows."""
    by_method, last = costs.groupby("method"), trials.at(trials.steps[-1])
    rows = []
    for method, each in found.items():
        intervals = {"old": each.old, "new": each.new, "gain": each.gain, "behind": each.behind}
        ends = {f"{name}{end}": number for name, of in intervals.items() for end, number in zip(("", "_low", "_high"), of, strict=True)}
        cost = by_method.get_group(method)
        row = {"method": method, "words": cost["words"].iloc[0], "learned": each.learned, "taken": method == said.method, "stop": each.stop}
        row |= ends | {"chosen_by": each.chosen_by}
        row |= {f"{name}_end": trials.accuracy(method, last, split).value for name, split in (("old", OLD_TEST), ("new", trials.new.test))}
        row |= {"seconds": cost["seconds"].mean(), "trained_share": float((cost["trained"] / cost["weights"]).mean())}
        rows.append(row | {"stored": cost["stored"].mean()})
    return pd.DataFrame(rows)


def judged_words(trials: Trials) -> str:
    """On which examples the new task is measured, for a reader."""
    return (
        "examples that no trial trained on"
        if trials.new == HELD
        else "examples that every trial trains on, as plain fine-tuning learns no others"
    )
