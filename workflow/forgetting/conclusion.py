"""A plain-English conclusion on one arm, computed from numbers and their 95 % intervals by stated rules.

No rule compares bare numbers: where an interval reaches over the level that it is held against, or is missing, the answer stays open.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from forgetting.statistics import Interval
from forgetting.views.spurious import SMALLEST_DROP

ALMOST_ALL, HALF = 0.9, 0.5
"""Shares of a loss above which it is wholly, and mostly, of a kind."""
SUBSTANTIAL_SAVINGS = 1.5
"""With smaller savings, learning Task 0 again takes more than two thirds of the steps that the pretrained model needs to learn it."""
TIMES = ("early", "late")
Numbers = Mapping[str, Interval]
_MEANING = {
    "ahead": " (Task 0 left, or format from Task 1)",
    "hardly ahead": " (mostly format relearned)",
    "not ahead": " (perhaps only format relearned)",
    "behind": " (more than format lost)",
    "perhaps at the floor": " (not surely above random weights or unknown persons)",
}
"""What it means where recovery stands. The format is that of the questions, which the pretrained model never saw, but which Task 1 taught
about other persons: the controls cannot tell what is left of Task 0 from that."""


def conclusion(numbers: Numbers) -> str:
    """At most 55 words, numbers not counted. `numbers`: the columns of a row of `verdict_table`, those of one time with `early_` or `late_`
    in front.

    Losses are told by `loss`, and what came back of them by `nature`. Then, of the times at which something was lost: where one epoch of
    recovery stands against its controls and what that means (`standing`), whether a shift common to all facts explains the loss
    (`explained`), and whether a linear probe still reads the facts (`readable`); what was not measured is left out. An arm that did not
    learn Task 1 in every seed is named as such, since what does not learn need not forget. Where no loss is sure and Task 0 not surely
    learned, nothing else is said: `before` is held against the smallest drop that counts, since nothing can drop by more than it was.
    """
    of_time = {time: {name.removeprefix(f"{time}_"): number for name, number in numbers.items()} for time in TIMES}
    losses = {time: loss(found["drop"]) for time, found in of_time.items()}
    before, learned = numbers["before"], numbers["learned"].value
    if "lost" not in losses.values() and side(before, SMALLEST_DROP) != "above":
        said = "was not" if before.value <= SMALLEST_DROP else "was perhaps not"
        return f"Task 0 {said} learned ({before.value:.2f}): nothing can be said about forgetting."
    sentences = [f"Task 1 not {'always ' if learned > 0 else ''}learned."] if learned < 1 else []
    if set(losses.values()) == {"nothing"}:
        return " ".join([*sentences, "Nothing forgotten, early or late."])
    told = "; ".join(_told(time, losses[time], of_time[time]["spurious_share"]) for time in TIMES)
    sentences.append(f"{told[0].upper()}{told[1:]}.")
    lost = {time: found for time, found in of_time.items() if losses[time] == "lost"}
    against = _by_time({time: standing(found) for time, found in lost.items()})
    sentences += [f"Recovery against pretraining: {against}."] if against else []
    shift = _by_time({time: explained(found) for time, found in lost.items()})
    sentences += [f"Common-shift part: {shift}."] if shift else []
    probe = _by_time({time: readable(found) for time, found in lost.items()})
    sentences += [f"Probe accuracy: {probe}."] if probe else []
    return " ".join(sentences)


def side(number: Interval, level: float) -> str:
    """`above` or `below` if the whole interval is on that side of the level, else `open`, also without an interval.

    Infinite savings have no interval and are above.
    """
    if np.isposinf(number.value) or number.low > level:
        return "above"
    return "below" if number.high < level else "open"


def loss(drop: Interval) -> str:
    """`lost` or `nothing`: the drop is above or below the smallest one that counts (0.02); else `unclear`."""
    return {"above": "lost", "below": "nothing", "open": "unclear"}[side(drop, SMALLEST_DROP)]


def nature(share: Interval) -> str:
    """What the spurious share says of a loss.

    `spurious`: above 90 %; `mostly spurious`: above half; `mostly not back`: below half; `partly not back`: below 90 %; else `undecided`.
    The last two name what was seen after one epoch and no more, for longer recovery may bring back the rest.
    """
    almost_all, half = side(share, ALMOST_ALL), side(share, HALF)
    if half == "above":
        return "spurious" if almost_all == "above" else "mostly spurious"
    if half == "below":
        return "mostly not back"
    return "partly not back" if almost_all == "below" else "undecided"


def standing(found: Numbers) -> str:
    """Where recovery stands against its controls. Empty without the pretrained one.

    Two comparisons count with the pretrained model that never saw a question: accuracy after one epoch (`beyond_pretrained` against 0) and
    steps to 90 % (`savings` against 1). `perhaps at the floor`: not surely further than that model, and the interval of `recovered` meets
    that of random weights or of persons that no stage has seen, which also happens where it is merely wide. Otherwise `ahead`: one
    comparison is above, none below; `hardly ahead`: that is the savings only, and they are below 1.5. `behind`: one is below, none above.
    `undecided`: one of each. `not ahead`: neither; the pretrained model gets as far, so recovery may teach nothing but the question format.
    Answers shuffled between persons are no rule: they teach wrong facts with the format, so a low number after them can be read in two
    ways.
    """
    if np.isnan(found["beyond_pretrained"].value):
        return ""
    further, sooner = side(found["beyond_pretrained"], 0), side(found["savings"], 1)
    floor = np.fmax(found["random"].high, found["control_persons"].high)  # of the one that was measured, if the other was not
    if further != "above" and found["recovered"].low <= floor:
        return "perhaps at the floor"
    if {further, sooner} == {"above", "below"}:
        return "undecided"
    if "below" in (further, sooner):
        return "behind"
    if "above" not in (further, sooner):
        return "not ahead"
    return "hardly ahead" if further == "open" and side(found["savings"], SUBSTANTIAL_SAVINGS) == "below" else "ahead"


def explained(found: Numbers) -> str:
    """How much of the loss comes back when the common part of the change is taken away: `restored_share` above half is `most`, below half
    `little`, else `unclear`. Empty without an interval."""
    share = found["restored_share"]
    return "" if np.isnan(share.low) else {"above": "most", "below": "little", "open": "unclear"}[side(share, HALF)]


def readable(found: Numbers) -> str:
    """What a linear probe says of the facts. Empty without an interval.

    `perhaps chance even before`, `perhaps chance`: not above chance at the end of Task 0, at the checkpoint. Otherwise by the change
    between them, against 0: `higher`, `lower`, or `no clear change`.
    """
    if np.isnan(found["probe"].low):
        return ""
    chance = found["probe_chance"].value
    if side(found["probe_before"], chance) != "above":
        return "perhaps chance even before"
    if side(found["probe"], chance) != "above":
        return "perhaps chance"
    return {"above": "higher", "below": "lower", "open": "no clear change"}[side(found["probe_change"], 0)]


def _told(time: str, what: str, share: Interval) -> str:
    if what == "lost":
        return f"{time} loss {nature(share)}" + ("" if np.isnan(share.value) else f" ({_percent(share)} back)")
    return f"nothing lost {time}" if what == "nothing" else f"{time} loss unclear"


def _by_time(words: Mapping[str, str]) -> str:
    """`a early, b late`, or `a early and late` if both are the same, with the meaning where there is one; empty words are left out."""
    times: dict[str, list[str]] = {}
    for time, word in words.items():
        if word:
            times.setdefault(word, []).append(time)
    return ", ".join(f"{word} {' and '.join(at)}{_MEANING.get(word, '')}" for word, at in times.items())


def _percent(share: Interval) -> str:
    value, *ends = (f"{100 * number:.0f}" for number in share)
    return f"{value} %" if np.isnan(share.low) else f"{value} % [{', '.join(ends)}]"
