"""A plain-English conclusion on one arm, computed from numbers and their 95 % intervals by stated rules.

No rule compares bare numbers: where an interval reaches over the level that it is held against, or is missing, the answer stays open.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from forgetting.analysis.spurious import SMALLEST_DROP
from forgetting.intervals import Interval

ALMOST_ALL, HALF = 0.9, 0.5
"""Shares of a loss above which it is wholly, and mostly, of a kind."""
CEILING = 1 - SMALLEST_DROP
"""A control whose interval reaches this leaves less room above it than the smallest difference that counts."""
TIMES = ("early", "late")
OWN_FLOOR, OTHER_FLOOR = "a model that never had Task 0", "plain fine-tuning that never had Task 0"
"""What an arm is held against; the other where there is none of its own method."""
Numbers = Mapping[str, Interval]
_MEANING = {
    "ahead": " (Task 0 left, or format from Task 1)",
    "not ahead": " (perhaps only format relearned)",
    "behind": " (more than format lost)",
    "perhaps at the floor": " (not surely above random weights or unknown persons)",
    "cannot tell": " (control at the ceiling)",
}
"""What it means where recovery stands against the pretrained model, which never saw a question. Task 1 taught their format about other
units: what is left of Task 0 is told from that only by the model that never had Task 0."""


def conclusion(numbers: Numbers, floor: str = OWN_FLOOR) -> str:
    """At most 65 words, numbers not counted. `numbers`: the columns of a row of `verdict_table`, those of one time with `early_` or `late_`
    in front. floor: what the model that never had Task 0 is called.

    Losses are told by `loss`, and what came back of them by `nature`. Then, of the times at which something was lost: where one epoch of
    recovery stands against the pretrained model and what that means, where checkpoint (`kept`) and recovery stand against the model that
    never had Task 0 (`standing`), and whether a shift common to all facts explains the
    loss (`explained`); what was not measured is left out. An arm that did not learn Task 1 in every seed is named as such, since what
    does not learn need not forget. Where no loss is sure and Task 0 not surely
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
    against = _by_time({time: standing(found, "pretrained") for time, found in lost.items()}, _MEANING)
    sentences += [f"Recovery against pretraining: {against}."] if against else []
    before_recovery = _by_time({time: kept(found) for time, found in lost.items()})
    after_recovery = _by_time({time: standing(found, "floor") for time, found in lost.items()})
    told_of = [f"{what}: {told}" for told, what in ((before_recovery, "before recovery"), (after_recovery, "after")) if told]
    sentences += [f"Against {floor}, {'; '.join(told_of)}."] if told_of else []
    shift = _by_time({time: explained(found) for time, found in lost.items()})
    sentences += [f"Common-shift part: {shift}."] if shift else []
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


def standing(found: Numbers, control: str) -> str:
    """Where recovery stands against a control: `pretrained`, or `floor`, the model that never had Task 0. Empty without that control.

    Two differences count, each against 0: accuracy after one epoch (`beyond_<control>`) and the mean over the first steps of recovery
    (`area_beyond_<control>`). `perhaps at the floor` (pretrained only): neither is above, and the interval of `recovered` meets that of
    random weights or of units that no stage has seen, which also happens where it is merely wide. `ahead`: one is above, none below;
    `behind`: one is below, none above; `undecided`: one of each. With neither the answer is `not ahead`, but only as far as the control
    left room for one: `cannot tell` if the control itself is at the ceiling in all that was measured (its interval reaches within the
    smallest difference that counts of 1), and `not resolved` if nothing else has an interval. Answers shuffled between units are no rule:
    they teach wrong facts with the format, so a low number after them can be read in two ways.
    """
    differences = (found[f"beyond_{control}"], found[f"area_beyond_{control}"])
    levels = (found[control], found[f"area_{control}"])
    if all(np.isnan(difference.value) for difference in differences):
        return ""
    sides = {side(difference, 0) for difference in differences}
    unknown = np.fmax(found["random"].high, found["control_persons"].high)  # of the one that was measured, if the other was not
    if control == "pretrained" and "above" not in sides and found["recovered"].low <= unknown:
        return "perhaps at the floor"
    if {"above", "below"} <= sides:
        return "undecided"
    if "above" in sides or "below" in sides:
        return "ahead" if "above" in sides else "behind"
    measured = [level for difference, level in zip(differences, levels, strict=True) if not np.isnan(difference.low)]
    if not measured:
        return "not resolved"
    return "cannot tell" if all(level.high >= CEILING for level in measured) else "not ahead"


def kept(found: Numbers) -> str:
    """Whether the checkpoint itself, without recovery, answers more of Task 0 than the model that never had it: `ahead`, `behind` or
    `not ahead`. Empty without an interval."""
    difference = found["kept_beyond_floor"]
    return "" if np.isnan(difference.low) else {"above": "ahead", "below": "behind", "open": "not ahead"}[side(difference, 0)]


def explained(found: Numbers) -> str:
    """How much of the loss comes back when the common part of the change is taken away, in the logits (`restored_share`) and in the
    residual stream (`stream_restored_share`), each against half.

    `most`: above in both; `little`: below in both; `space-dependent`: above in one, below in the other; else `unclear`. Where only
    one was measured, that one decides. Empty without an interval.
    """
    measured = [found[name] for name in ("restored_share", "stream_restored_share") if not np.isnan(found[name].low)]
    sides = {side(share, HALF) for share in measured}
    if not sides:
        return ""
    if sides == {"above", "below"}:
        return "space-dependent"
    return {"above": "most", "below": "little", "open": "unclear"}[sides.pop()] if len(sides) == 1 else "unclear"


def _told(time: str, what: str, share: Interval) -> str:
    if what == "lost":
        return f"{time} loss {nature(share)}" + ("" if np.isnan(share.value) else f" ({_percent(share)} back)")
    return f"nothing lost {time}" if what == "nothing" else f"{time} loss unclear"


def _by_time(words: Mapping[str, str], meanings: Mapping[str, str] = MappingProxyType({})) -> str:
    """`a early, b late`, or `a early and late` if both are the same, with the meaning where there is one; empty words are left out."""
    times: dict[str, list[str]] = {}
    for time, word in words.items():
        if word:
            times.setdefault(word, []).append(time)
    return ", ".join(f"{word} {' and '.join(at)}{meanings.get(word, '')}" for word, at in times.items())


def _percent(share: Interval) -> str:
    value, *ends = (f"{100 * number:.0f}" for number in share)
    return f"{value} %" if np.isnan(share.low) else f"{value} % [{', '.join(ends)}]"
