from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from tests.figures.synthetic_views import gradient_rows

from forgetting.figures import style
from forgetting.figures.gradients import draw, with_ceiling


def test_the_ceiling_is_the_geometric_mean_of_the_halves() -> None:
    found = with_ceiling(gradient_rows("seq", 0))
    assert set(found["comparison"]) == {"task0_task1", "task0_shuffled", "ceiling"}
    np.testing.assert_allclose(found.loc[found["comparison"] == "ceiling", "value"], 0.48)  # 0.8 times 0.6
    rows = gradient_rows("seq", 0)
    negative = rows.assign(value=rows["value"].where(rows["comparison"] != "task0_halves", -0.1))
    undefined = with_ceiling(negative)
    assert undefined.loc[undefined["comparison"] == "ceiling", "value"].isna().all()


@pytest.mark.parametrize("seeds", [1, 3])
def test_each_panel_has_the_cosine_its_floor_and_its_ceiling(seeds: int) -> None:
    rows = pd.concat([gradient_rows(arm, seed) for arm in ("seq", "freeze-2") for seed in range(seeds)])
    rows.loc[rows["part"] == "blocks", "value"] /= 2
    figure = draw(rows)
    for panel, factor in zip(figure.axes, (1, 2), strict=False):
        for arm in ("seq", "freeze-2"):
            lines = [line for line in panel.lines if to_hex(line.get_color()) == style.arm_look(arm).color]
            value, ceiling, floor = (np.asarray(line.get_ydata(), dtype=float) for line in lines)
            shift = 0.005 * (seeds - 1)  # mean over seeds of 0.01 a seed
            np.testing.assert_allclose(value * factor, np.array([-0.1, -0.2, -0.05, 0.1, 0.2]) + shift, atol=1e-9)
            np.testing.assert_allclose(floor * factor, 0.02 + shift, atol=1e-9)
            assert (np.abs(ceiling * factor - 0.48) < 0.03).all()
            assert list(lines[0].get_xdata()) == [0, 10, 60, 150, 4000]
    text = figure.get_supxlabel()
    assert "150 questions" in text and ("3 seeds" in text) == (seeds == 3)


def test_what_is_left_without_the_floor_is_taken_run_by_run() -> None:
    """The three runs' cosines are half apart, and so do their floors: their difference, between -0.1 and 0.1, is sure all the same."""
    seeds = [gradient_rows("seq", seed) for seed in range(3)]
    rows = pd.concat([rows.assign(value=rows["value"] / 10 + [-0.5, 0, 0.5][seed]) for seed, rows in enumerate(seeds)])
    panel = draw(rows).axes[2]
    (line,) = [line for line in panel.lines if to_hex(line.get_color()) == style.arm_look("seq").color]
    np.testing.assert_allclose(line.get_ydata(), (np.array([-0.1, -0.2, -0.05, 0.1, 0.2]) - 0.02) / 10, atol=1e-9)
    (band,) = panel.collections
    assert np.ptp(band.get_paths()[0].vertices[:, 1]) < 0.05
