from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from forgetting.analysis.words import TIMES, conclusion, explained, loss, nature, side, standing
from forgetting.intervals import Interval

NOT_MEASURED = Interval(np.nan, np.nan, np.nan)
OF_TIME = (
    "drop",
    "recovered",
    "floor",
    "kept_beyond_floor",
    "beyond_pretrained",
    "beyond_floor",
    "area_pretrained",
    "area_floor",
    "area_beyond_pretrained",
    "area_beyond_floor",
    "control_persons",
    "spurious_share",
    "restored_share",
    "stream_restored_share",
)


_CONTROLS = ("pretrained", "floor")
_NO_CONTROLS = {f"{kind}{name}": NOT_MEASURED for name in _CONTROLS for kind in ("", "beyond_", "area_", "area_beyond_")}


def about(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high)


def numbers(learned: float = 1.0, **given: Interval) -> dict[str, Interval]:
    """A row in which nothing was measured but what is `given`, and nothing was lost."""
    row = {f"{time}_{name}": NOT_MEASURED for time in TIMES for name in OF_TIME}
    row |= {"learned": Interval(learned, np.nan, np.nan), "before": about(0.95, 1), "random": about(0, 0.05), "pretrained": about(0.8, 0.9)}
    row |= {f"{time}_drop": about(0, 0.01) for time in TIMES} | {f"{time}_control_persons": about(0, 0.04) for time in TIMES}
    return row | given


def probed(**given: Interval) -> dict[str, Interval]:
    """The numbers of one time: recovered to 0.9 or so, with all controls at the floor."""
    return {"recovered": about(0.85, 0.95), "random": about(0, 0.05), "control_persons": about(0, 0.05)} | _NO_CONTROLS | given


@pytest.mark.parametrize(
    ("number", "expected"),
    [(about(0.6, 0.9), "above"), (about(0.1, 0.4), "below"), (about(0.4, 0.9), "open"), (about(0.5, 0.9), "open")]
    + [(Interval(0.9, np.nan, np.nan), "open"), (NOT_MEASURED, "open"), (Interval(np.inf, np.nan, np.nan), "above")],
)
def test_only_an_interval_that_lies_on_one_side_decides(number: Interval, expected: str) -> None:
    assert side(number, 0.5) == expected


@pytest.mark.parametrize(
    ("drop", "expected"),
    [(about(0.03, 0.5), "lost"), (about(-0.05, 0.01), "nothing"), (about(0, 0), "nothing"), (about(0.01, 0.1), "unclear")],
)
def test_a_loss_counts_from_the_smallest_drop_on(drop: Interval, expected: str) -> None:
    assert loss(drop) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.95, 1.05, "spurious"), (0.6, 1.1, "mostly spurious"), (0.6, 0.8, "mostly spurious"), (0.4, 0.8, "partly not back")]
    + [(0.1, 0.4, "mostly not back"), (0.3, 1.0, "undecided"), (np.nan, np.nan, "undecided")],
)
def test_nature_of_a_loss(low: float, high: float, expected: str) -> None:
    assert nature(about(low, high)) == expected


ROOM, FULL = about(0.7, 0.9), about(0.97, 1.0)
OPEN, ABOVE, BELOW = about(-0.1, 0.1), about(0.01, 0.1), about(-0.1, -0.01)


@pytest.mark.parametrize("control", ["pretrained", "floor"])
@pytest.mark.parametrize(
    ("beyond", "level", "area_beyond", "area", "expected"),
    [
        (ABOVE, ROOM, OPEN, ROOM, "ahead"),
        (OPEN, FULL, ABOVE, ROOM, "ahead"),
        (OPEN, ROOM, OPEN, ROOM, "not ahead"),
        (OPEN, FULL, OPEN, ROOM, "not ahead"),
        (OPEN, FULL, OPEN, FULL, "cannot tell"),
        (OPEN, FULL, NOT_MEASURED, NOT_MEASURED, "cannot tell"),
        (OPEN, ROOM, NOT_MEASURED, NOT_MEASURED, "not ahead"),
        (BELOW, FULL, OPEN, FULL, "behind"),
        (OPEN, FULL, BELOW, ROOM, "behind"),
        (BELOW, ROOM, ABOVE, ROOM, "undecided"),
        (Interval(0.1, np.nan, np.nan), ROOM, NOT_MEASURED, NOT_MEASURED, "not resolved"),
        (NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, ""),
    ],
)
def test_recovery_against_a_control(
    control: str, beyond: Interval, level: Interval, area_beyond: Interval, area: Interval, expected: str
) -> None:
    given = {f"beyond_{control}": beyond, control: level, f"area_beyond_{control}": area_beyond, f"area_{control}": area}
    assert standing(probed(**given), control) == expected


@pytest.mark.parametrize("control", ["random", "control_persons"])
def test_a_floor_that_recovery_may_not_leave_comes_first(control: str) -> None:
    """Also where the other of the two was not measured."""
    other = {"random": "control_persons", "control_persons": "random"}[control]
    found = probed(beyond_pretrained=OPEN, pretrained=ROOM, area_beyond_pretrained=OPEN, area_pretrained=ROOM)
    for rest in ({}, {other: NOT_MEASURED}):
        assert standing(found | rest | {control: about(0.8, 0.86)}, "pretrained") == "perhaps at the floor"
        assert standing(found | rest | {control: about(0.8, 0.84)}, "pretrained") == "not ahead"
    assert standing(found | {control: about(0.8, 0.86), "area_beyond_pretrained": ABOVE}, "pretrained") == "ahead"


def test_being_ahead_is_not_told_as_memory_of_task0() -> None:
    """Task 1 taught the same questions about other persons, so its format may be what is ahead."""
    given = {"early_drop": about(0.4, 0.6), "early_spurious_share": about(0.95, 1), "early_recovered": about(0.9, 1)}
    said = conclusion(numbers(**given, early_beyond_pretrained=about(0.1, 0.2)))
    assert said.endswith("Recovery against pretraining: ahead early (Task 0 left, or format from Task 1).")


def test_both_controls_are_told_and_the_floor_before_and_after_recovery() -> None:
    given = {"early_drop": about(0.8, 0.9), "early_spurious_share": about(0.95, 1), "early_recovered": about(0.95, 1)}
    given |= {"early_kept_beyond_floor": OPEN, "early_beyond_floor": OPEN, "early_floor": FULL, "early_area_beyond_floor": ABOVE}
    given |= {"early_beyond_pretrained": OPEN, "pretrained": FULL}
    assert conclusion(numbers(**given)).endswith(
        "Recovery against pretraining: cannot tell early (control at the ceiling). "
        "Against a model that never had Task 0, before recovery: not ahead early; after: ahead early."
    )
    assert "Against an unfrozen one, before recovery: not ahead early" in conclusion(numbers(**given), "an unfrozen one")


@pytest.mark.parametrize(
    ("logits", "stream", "expected"),
    [
        (about(0.6, 0.9), about(0.8, 1.0), "most"),
        (about(0, 0.2), about(0.1, 0.4), "little"),
        (about(0, 0.3), about(0.94, 1.0), "space-dependent"),
        (about(0.94, 1.0), about(0, 0.3), "space-dependent"),
        (about(0, 0.2), about(0.3, 0.7), "unclear"),
        (about(0.6, 0.9), about(0.3, 0.7), "unclear"),
        (about(0.3, 0.7), about(0.3, 0.7), "unclear"),
        (about(0, 0.2), NOT_MEASURED, "little"),
        (NOT_MEASURED, NOT_MEASURED, ""),
        (Interval(0.1, np.nan, np.nan), NOT_MEASURED, ""),
    ],
)
def test_what_a_common_shift_explains(logits: Interval, stream: Interval, expected: str) -> None:
    """The two spaces can say opposite things of one arm: then neither of them is the answer."""
    assert explained({"restored_share": logits, "stream_restored_share": stream}) == expected


def test_nothing_forgotten_needs_no_more_words() -> None:
    assert conclusion(numbers()) == "Nothing forgotten, early or late."
    assert conclusion(numbers(learned=0)) == "Task 1 not learned. Nothing forgotten, early or late."
    assert conclusion(numbers(learned=2 / 3)) == "Task 1 not always learned. Nothing forgotten, early or late."


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (Interval(0, 0, 0.24), "was not learned (0.00)"),
        (Interval(0.02, 0.005, 0.04), "was not learned (0.02)"),
        (Interval(0.1, 0.01, 0.3), "was perhaps not learned (0.10)"),
    ],
)
def test_what_was_not_learned_cannot_be_forgotten(before: Interval, said: str) -> None:
    """Unless a loss is sure: then it was there."""
    assert conclusion(numbers(before=before, learned=0)) == f"Task 0 {said}: nothing can be said about forgetting."
    assert "early loss" in conclusion(numbers(before=before, early_drop=about(0.03, 0.2))).lower()


def test_times_are_told_apart_only_where_they_differ() -> None:
    given = {"early_drop": about(0.8, 0.9), "late_drop": about(0.4, 0.6)}
    given |= {"early_spurious_share": about(0.98, 1.0), "late_spurious_share": about(0.6, 0.8)}
    given |= {f"{time}_recovered": about(0.9, 1) for time in TIMES} | {f"{time}_restored_share": about(0, 0.2) for time in TIMES}
    given |= {"early_beyond_pretrained": about(-0.01, 0.01), "late_beyond_pretrained": about(-0.2, -0.1)}
    assert conclusion(numbers(**given)) == (
        "Early loss spurious (99 % [98, 100] back); late loss mostly spurious (70 % [60, 80] back). Recovery against pretraining: "
        "not ahead early (perhaps only format relearned), behind late (more than format lost). Common-shift part: little early and late."
    )


def test_nothing_is_said_of_a_time_at_which_nothing_was_surely_lost() -> None:
    given = {"late_drop": about(0.4, 0.6), "late_spurious_share": Interval(0.9, np.nan, np.nan), "early_restored_share": about(0.8, 0.9)}
    assert conclusion(numbers(**given)) == "Nothing lost early; late loss undecided (90 % back)."
    assert conclusion(numbers(early_drop=about(0, 0.1))) == "Early loss unclear; nothing lost late."


def test_no_conclusion_is_longer_than_75_words() -> None:
    """Every pair of findings that the two times may have."""
    lost = {"drop": about(0.4, 0.6), "control_persons": about(0, 0.05)}
    natures = (about(0.6, 0.8), about(0.1, 0.3), about(0.2, 0.95))
    standings = [(difference, about(0.8, 0.9)) for difference in (about(0.1, 0.2), about(-0.1, 0.1), about(-0.2, -0.1))]
    standings.append((about(-0.3, 0.1), about(0.01, 0.9)))  # perhaps at the floor
    ends = ((about(0.6, 0.9), about(0.1, 0.2)), (about(0.3, 0.7), about(0.3, 0.7)))
    longest = 0
    for share, *both in product(natures, product(standings, ends), product(standings, ends)):
        given = {}
        for time, ((beyond, recovered), shifts) in zip(TIMES, both, strict=True):
            found = lost | {
                "spurious_share": share,
                "recovered": recovered,
                "beyond_pretrained": beyond,
                "beyond_floor": beyond,
                "floor": ROOM,
                "kept_beyond_floor": beyond,
                "restored_share": shifts[0],
                "stream_restored_share": shifts[1],
            }
            given |= {f"{time}_{name}": number for name, number in found.items()}
        said = conclusion(numbers(learned=0.5, **given))
        longest = max(longest, len([word for word in said.split() if re.search("[A-Za-z]", word)]))
    assert 55 < longest <= 75
