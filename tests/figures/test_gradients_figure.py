from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from tests.figures.synthetic_views import gradient_rows

from forgetting.figures import style
from forgetting.figures.gradients import draw, with_ceiling


def test_the_ceiling_is_the_geometric_mean_of_the_halves() -> None:
    found = with_ceiling(gradient_rows("seq", 0))
    assert set(found["comparison"]) == {"task0_task1", "ceiling"}
    np.testing.assert_allclose(found.loc[found["comparison"] == "ceiling", "value"], 0.48)  # 0.8 times 0.6
    rows = gradient_rows("seq", 0)
    negative = rows.assign(value=rows["value"].where(rows["comparison"] != "task0_halves", -0.1))
    undefined = with_ceiling(negative)
    assert undefined.loc[undefined["comparison"] == "ceiling", "value"].isna().all()


def drawn(panel: Axes, arm: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Steps and values of each curve of an arm: a line, and the mark of its end."""
    lines = [line for line in panel.lines if to_hex(line.get_color()) == style.arm_look(arm).color]
    data = [np.asarray(line.get_data(), dtype=float) for line in lines]
    return [tuple(np.hstack([first, end])) for first, end in zip(data[::2], data[1::2], strict=True)]


@pytest.mark.parametrize("seeds", [1, 3])
def test_each_panel_has_the_cosine_and_its_ceiling(seeds: int) -> None:
    rows = pd.concat([gradient_rows(arm, seed) for arm in ("seq", "freeze-2") for seed in range(seeds)])
    rows.loc[rows["part"] == "blocks", "value"] /= 2
    figure = draw(rows)
    for panel, factor in zip(figure.axes, (1, 2), strict=False):
        for arm in ("seq", "freeze-2"):
            curves = drawn(panel, arm)
            value, ceiling = (y for _, y in curves)
            shift = 0.005 * (seeds - 1)  # mean over seeds of 0.01 a seed
            np.testing.assert_allclose(value * factor, np.array([-0.1, -0.2, -0.05, 0.1, 0.2]) + shift, atol=1e-9)
            assert (np.abs(ceiling * factor - 0.48) < 0.03).all()
            assert list(curves[0][0][:-1]) == [0, 10, 60, 150]
    text = figure.get_supxlabel()
    assert "150 questions" in text and ("3 seeds" in text) == (seeds == 3)


def test_what_is_left_without_the_floor_is_taken_run_by_run() -> None:
    """The three runs' cosines are half apart, and so do their floors: their difference, between -0.1 and 0.1, is sure all the same."""
    seeds = [gradient_rows("seq", seed) for seed in range(3)]
    rows = pd.concat([rows.assign(value=rows["value"] / 10 + [-0.5, 0, 0.5][seed]) for seed, rows in enumerate(seeds)])
    panel = draw(rows).axes[2]
    ((_, value),) = drawn(panel, "seq")
    np.testing.assert_allclose(value, (np.array([-0.1, -0.2, -0.05, 0.1, 0.2]) - 0.02) / 10, atol=1e-9)
    band, bar = panel.collections
    assert all(np.ptp(of.get_paths()[0].vertices[:, 1]) < 0.05 for of in (band, bar))


def test_no_line_leads_to_the_ends_which_stand_side_by_side_in_a_column_of_their_own() -> None:
    arms = ["seq", "replay-20", "freeze-2"]
    for panel in draw(pd.concat([gradient_rows(arm, 0) for arm in arms])).axes:
        joined = [line for line in panel.lines if len(line.get_xdata()) > 2]
        assert joined and all(max(line.get_xdata()) == 150 for line in joined)
        assert panel.get_xticklabels()[-1].get_text() == "end"
        ends = {arm: drawn(panel, arm)[0][0].max() for arm in arms}
        assert 150 < ends["seq"] < ends["replay-20"] < ends["freeze-2"] < panel.get_xlim()[1]
