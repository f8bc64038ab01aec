from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from tests.figures.synthetic_views import LAYERS, graft_rows

from forgetting.figures import edits, graft


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_first_block_stands_out_and_its_control_does_not(seeds: int) -> None:
    figure = graft.draw(pd.concat([graft_rows("seq", seed) for seed in range(seeds)]))
    shift = 0.01 * (seeds - 1) / 2
    for panel in figure.axes[:2]:
        marks = {(line.get_marker(), to_hex(line.get_color())): line for line in panel.lines if line.get_linestyle() == "None"}
        control = marks["x", "#8c8c8c"]
        np.testing.assert_allclose(np.asarray(control.get_ydata(), dtype=float), 0.15 + shift, atol=0.02)
        values = {
            float(x): float(y)
            for line in panel.lines
            if line.get_marker() == "o" and line.get_linestyle() == "None"
            for x, y in zip(*line.get_data(), strict=True)
        }
        assert set(values) == {0, *range(1, LAYERS + 1), LAYERS + 1, LAYERS + 2}, "embeddings, blocks, norms"
        assert max(values, key=values.__getitem__) == 1 and values[1] == pytest.approx(0.8 + shift, abs=0.02)


def test_repairs_are_drawn_by_length_early_and_by_what_is_left_of_task_1_at_the_end() -> None:
    figure = edits.draw(graft_rows("seq", 0))
    for panel, expected in zip(figure.axes, ([0.1, 0.2, 0.3, 0.4], [0.6] * 4), strict=True):
        line = next(line for line in panel.lines if line.get_marker() == "o")
        np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), expected)
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [0.45, 0.5, 0.6, 0.8])
        back = next(line for line in panel.lines if line.get_marker() == ".")
        np.testing.assert_allclose(np.asarray(back.get_ydata(), dtype=float)[[0, -1]], [0.1, 0.99])


def test_bars_are_of_the_difference_from_the_straight_way_where_task_1_is_across() -> None:
    """Its intervals reach 0.03 below and 0.02 above; a table made before there were any is drawn without bars."""
    rows = graft_rows("seq", 0)
    early, end = edits.draw(rows).axes[:2]
    assert len(early.collections) == len(end.collections) == 6
    known = rows[(rows["point"] == "trough") & (rows["operation"] == "edit") & (rows["part"] == "blocks") & (rows["split"] == "task0_test")]
    known = known[known["metric"] == "exact_match"].sort_values("amount")
    drawn = [np.asarray(segment)[:, 1] for segment in early.collections[0].get_segments()]
    np.testing.assert_allclose(drawn, known[["low", "high"]], err_msg="where Task 1 is not across, of the accuracy itself")
    ends = np.concatenate([np.asarray(segment)[:, 1] for segment in end.collections[0].get_segments()]).reshape(-1, 2)
    np.testing.assert_allclose(ends, np.array([0.45, 0.5, 0.6, 0.8])[:, None] + [-0.03, 0.02])
    assert not edits.draw(rows[rows["metric"] != "beyond_straight"]).axes[1].collections
