from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis.straight import Shares, beside, has_task1_to_lose, place_on
from forgetting.statistics import difference_ends, share_of_units

UNITS, ANSWERS = 40, 4


def same_for_all(*shares: float) -> np.ndarray:
    return np.tile(np.array(shares)[:, None], UNITS)


WAY = Shares(same_for_all(0.0, 0.25, 0.75, 1.0), same_for_all(1.0, 0.75, 0.25, 0.0))
"""Of every unit as much of Task 0 as Task 1 is short of."""


@pytest.mark.parametrize(("task0", "beyond"), [(0.75, 0.25), (0.5, 0.0), (0.25, -0.25)])
def test_a_repair_above_and_one_below_the_straight_way_at_equal_task_1(task0: float, beyond: float) -> None:
    """At Task 1 of a half the way is between two of its points, where Task 0 is a half. Earlier and later on it everything else is."""
    repair = Shares(same_for_all(task0)[0], same_for_all(0.5)[0])
    found = beside(repair, WAY, ANSWERS, seed=0)
    assert found.straight.value == pytest.approx(0.5) and found.beyond.value == pytest.approx(beyond)
    assert found.beyond.low < beyond < found.beyond.high and found.beyond.high - found.beyond.low < 0.2
    assert (found.beyond.low > 0) == (beyond > 0) and (found.beyond.high < 0) == (beyond < 0)


def test_as_much_of_task_0_is_worth_more_where_more_of_task_1_is_left() -> None:
    cheap, dear = (beside(Shares(same_for_all(0.5)[0], same_for_all(task1)[0]), WAY, ANSWERS, 0) for task1 in (0.75, 0.25))
    assert cheap.beyond.low > 0 > dear.beyond.high


def test_the_difference_is_of_the_same_units() -> None:
    """Half of the units know everything of Task 0 and half nothing, on the way as after the repair: a tenth is what differs."""
    knows = np.repeat([0.0, 0.75], UNITS // 2)
    repair = Shares(knows + 0.1, same_for_all(0.5)[0])
    way = Shares(np.stack([knows, knows, knows]), same_for_all(1.0, 0.5, 0.0))
    found = beside(repair, way, ANSWERS, seed=0)
    unpaired = difference_ends(share_of_units(repair.task0), share_of_units(knows))
    assert found.beyond.low > 0 > unpaired[0]


def test_the_interval_knows_that_the_place_of_equal_task_1_is_uncertain() -> None:
    """Half of the units lost Task 1 to the repair and half did not, so that it is not known where on the way as much is left."""
    sure, unsure = same_for_all(0.5)[0], np.repeat([0.0, 1.0], UNITS // 2)
    found = [beside(Shares(same_for_all(0.75)[0], task1), WAY, ANSWERS, seed=0) for task1 in (sure, unsure)]
    assert found[0].beyond.value == pytest.approx(found[1].beyond.value)
    assert found[1].beyond.high - found[1].beyond.low > 3 * (found[0].beyond.high - found[0].beyond.low)


def test_the_place_on_a_winding_way_against_a_walk_in_small_steps() -> None:
    generator = np.random.default_rng(0)
    task0, task1 = generator.random((2, 50, 6))
    asked = generator.random(50) * 1.2
    segment, along, reached = place_on(task0, task1, asked)
    walk = np.linspace(0, 5, 50_001)
    for number in range(50):
        across, up = (np.interp(walk, np.arange(6), values[number]) for values in (task1, task0))
        allowed = up[across >= min(asked[number], across.max()) - 1e-12]
        assert reached[number] == pytest.approx(allowed.max(), abs=1e-3)
        assert np.interp(segment[number] + along[number], np.arange(6), task0[number]) == pytest.approx(reached[number])


def test_nothing_of_task_1_can_be_lost_where_it_was_not_learned() -> None:
    assert has_task1_to_lose(WAY)
    assert not has_task1_to_lose(WAY._replace(task1=same_for_all(0.03, 0.03, 0.02, 0.02)))


def test_the_interval_holds_what_is_true_of_all_units() -> None:
    """Way and repair of drawn units, of which the truth is known: 0.6 of Task 0 where the way has 0.5."""
    generator = np.random.default_rng(1)
    inside = []
    for number in range(150):
        kind = generator.uniform(-0.2, 0.2, UNITS)  # units that are easier are so for all models

        def drawn(*shares: float, kind=kind) -> np.ndarray:
            return generator.binomial(ANSWERS, np.clip(np.array(shares)[:, None] + kind, 0, 1)) / ANSWERS

        way = Shares(drawn(0.2, 0.5, 0.8), drawn(0.8, 0.5, 0.2))
        found = beside(Shares(drawn(0.6)[0], drawn(0.5)[0]), way, ANSWERS, seed=number)
        inside.append(found.beyond.low <= 0.1 <= found.beyond.high)
    assert np.mean(inside) >= 0.9
