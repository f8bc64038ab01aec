from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures.synthetic_views import theory_rows

from forgetting.figures import style
from forgetting.figures.theory import draw, relative_to


def test_units_are_those_of_the_same_seed_and_checkpoint() -> None:
    rows = pd.DataFrame({"seed": [0, 1], "after": ["task1_end"] * 2, "value": [2.0, 3.0], "low": [1.0, 2.0], "high": [3.0, 4.0]})
    unit = pd.Series([4.0, 2.0], pd.MultiIndex.from_tuples([(0, "task1_end"), (1, "task1_end")], names=["seed", "after"]), name="unit")
    found = relative_to(rows, unit)
    np.testing.assert_allclose(found[["value", "low", "high"]], [[0.5, 0.25, 0.75], [1.5, 1.0, 2.0]])


@pytest.mark.parametrize("seeds", [1, 2])
def test_freezing_is_drawn_as_a_share_of_seq(seeds: int) -> None:
    frames = [
        theory_rows(arm, seed, last)
        for seed in range(seeds)
        for arm, last in (("seq", 10.0 + seed), ("freeze-1", 8.0 + 0.8 * seed), ("freeze-3", 4.0 + 0.4 * seed), ("replay-20", 5.0))
    ]
    figure = draw(pd.concat(frames))
    lines = [np.asarray(line.get_ydata(), dtype=float) for line in figure.axes[3].lines]
    assert any(np.allclose(line, [0.8, 0.4]) for line in lines if len(line) == 2)
    assert "replay 20 %" in {text.get_text() for text in figure.legends[0].get_texts()}


@pytest.mark.parametrize("arm", ["seq", "freeze-2"])
def test_one_arm_alone_can_be_drawn(arm: str, tmp_path) -> None:
    style.save_figure(draw(theory_rows(arm, 0, 10.0)), [tmp_path / "theory.png"])
    assert (tmp_path / "theory.png").stat().st_size > 0
