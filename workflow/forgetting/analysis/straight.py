"""A repair of weights beside the straight way back to the weights before Task 1, where both have as much of Task 1 (docs/views.md)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forgetting.intervals import TAILS, Floats, Interval, unit_bootstrap
from forgetting.statistics import paired_difference, share_of_units

DRAWS = 2000


class Shares(NamedTuple):
    """Shares of right answers of the same units: of Task 0 (..., units) and of Task 1 (..., other units)."""

    task0: Floats
    task1: Floats


class Beside(NamedTuple):
    """Task 0 of the straight way where it has as much of Task 1, and that of the repair less it."""

    straight: Interval
    beyond: Interval


def has_task1_to_lose(way: Shares) -> bool:
    """Whether Task 1 is surely better where the way starts than where it ends, so that a repair can cost more or less of it."""
    return share_of_units(way.task1[0]).low > share_of_units(way.task1[-1]).high


def place_on(task0: Floats, task1: Floats, asked: Floats) -> tuple[Floats, Floats, Floats]:
    """Where the way through these points (..., P), straight between them, has the most of Task 0 with at least so much of Task 1 (...,), or
    with the most that it has anywhere: the number of the segment, how far along it (0 to 1), and Task 0 there."""
    asked = np.minimum(asked, task1.max(-1))[..., None]
    starts, ends = task1[..., :-1], task1[..., 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (asked - starts) / (ends - starts)
    between = (crossing > 0) & (crossing < 1)
    along = np.stack([np.zeros_like(starts), np.ones_like(starts), np.where(between, crossing, 0.0)])
    allowed = np.stack([starts >= asked, ends >= asked, between])
    reached = np.where(allowed, task0[..., :-1] + along * np.diff(task0, axis=-1), -np.inf)
    kind = reached.argmax(0)[None]  # of each segment its start, its end or where it crosses
    reached, along = (np.take_along_axis(values, kind, 0)[0] for values in (reached, along))
    segment = reached.argmax(-1)[..., None]
    return segment[..., 0], *(np.take_along_axis(values, segment, -1)[..., 0] for values in (along, reached))


def beside(repair: Shares, way: Shares, answers: int, seed: int) -> Beside:
    """A repair beside the points of the straight way, (P, units) from the checkpoint to the weights before Task 1. answers: of each unit.

    The difference is paired: in each bootstrap sample the same units answer for both. Units of both tasks are drawn, so that the interval
    knows how uncertain the place of equal Task 1 is, too. It is at least that of `paired_difference` at the place itself, since units that
    all agree are no proof that others would.
    """
    of_task0, of_task1 = (unit_bootstrap(shares.shape[-1], DRAWS, seed + number) / shares.shape[-1] for number, shares in enumerate(repair))
    segment, along, _ = (float(found) for found in place_on(way.task0.mean(-1), way.task1.mean(-1), repair.task1.mean(-1)))
    there = (1 - along) * way.task0[int(segment)] + along * way.task0[int(segment) + 1]
    straight, least = share_of_units(there), paired_difference(repair.task0, there, answers)
    *_, drawn = place_on(of_task0 @ way.task0.T, of_task1 @ way.task1.T, of_task1 @ repair.task1)
    low, high = np.quantile(of_task0 @ repair.task0 - drawn, TAILS)
    return Beside(straight, Interval(least.value, min(float(low), least.low), max(float(high), least.high)))
