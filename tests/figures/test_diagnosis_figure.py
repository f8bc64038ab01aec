"""The pictures of a diagnosis: what they draw, and that no part covers another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures.layout import misplaced

from forgetting.figures.diagnosis import STARTS, draw_frontier, draw_recovery
from forgetting.intervals import Interval

STEPS = [0, 1, 4, 15, 40, 100]


def curves(starts: list[str]) -> pd.DataFrame:
    rows = [(start, step, 0.1 * number + step / 200) for number, start in enumerate(starts) for step in STEPS]
    frame = pd.DataFrame(rows, columns=["start", "step", "value"])
    return frame.assign(low=frame["value"] - 0.05, high=frame["value"] + 0.05)


@pytest.mark.parametrize("starts", [list(STARTS), ["before", "after", "random"]])
def test_every_start_has_its_line(starts: list[str]) -> None:
    figure = draw_recovery(curves(starts), Interval(0.05, 0.01, 0.1))
    drawn = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == len(STEPS)]
    assert len(drawn) == len(starts)
    expected = curves(starts)
    assert np.allclose(drawn[1], expected.loc[expected["start"] == starts[1], "value"])
    assert not misplaced(figure)


def test_the_frontier_has_every_remedy_at_its_place() -> None:
    rows = [("before", "before", 0, 0.9, 0.1, False), ("after", "after", 0, 0.1, 0.9, False), ("r", "recovery", 0, 0.85, 0.8, True)]
    rows += [(f"i{share}", "interpolation", share, share, 1 - share, False) for share in (0.2, 0.5, 0.8)]
    rows += [("e", "edit", 1, 0.6, 0.7, False), ("d", "dose", 4, 0.4, 0.85, False)]
    figure = draw_frontier(pd.DataFrame(rows, columns=["remedy", "kind", "amount", "old", "new", "best"]))
    points = {(round(float(x), 3), round(float(y), 3)) for line in figure.axes[0].lines for x, y in zip(*line.get_data(), strict=True)}
    assert points == {(row[4], row[3]) if row[1] != "interpolation" else (round(1 - row[2], 3), row[2]) for row in rows}
    assert not misplaced(figure)
