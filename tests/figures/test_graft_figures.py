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


def test_controls_have_bars_and_no_two_marks_of_a_part_share_a_place() -> None:
    panel = graft.draw(graft_rows("seq", 0)).axes[0]
    controls = [bars for bars in panel.containers if bars.lines[0].get_marker() in ("x", "P", "*")]
    assert {bars.lines[0].get_marker() for bars in controls} == {"x", "P", "*"}
    for bars in controls:
        line, _, (collection,) = bars.lines
        expected = [np.clip([y - 0.04, y + 0.04], 0, 1) for y in line.get_ydata()]
        np.testing.assert_allclose([segment[:, 1] for segment in collection.get_segments()], expected)
        assert line.get_zorder() < 3
    places = [float(x) for bars in panel.containers for x in bars.lines[0].get_xdata()]
    assert len(set(np.round(places, 6))) == len(places) and np.diff(sorted(places)).min() > 0.1


def test_the_model_without_task_0_has_a_line_and_older_tables_without_the_new_operations_are_drawn() -> None:
    rows = graft_rows("seq", 0)
    older = rows[~rows["operation"].isin(["floor", "untaught", "of_floor", "into_pretrained"])]
    for table, there in ((rows, True), (older, False)):
        figure = graft.draw(table)
        levels = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
        assert levels == [0.07] * there
        texts = {text.get_text() for text in figure.legends[0].get_texts()}
        assert ("the model without Task 0 as it is" in texts) == there


def test_leading_directions_are_drawn_beside_the_straight_way_back() -> None:
    """Early by how much of the update they are, at the end as their difference from the straight way with as much of Task 1."""
    early, end = edits.draw(graft_rows("seq", 0)).axes[:2]
    task0 = np.array([0.45, 0.5, 0.6, 0.8])
    for panel, across, value in ((early, [0.1, 0.2, 0.3, 0.4], task0), (end, [0, 1, 2, 3], task0 - 0.55)):
        drawn = next(bars.lines[0] for bars in panel.containers if bars.lines[0].get_marker() == "o")
        np.testing.assert_allclose(np.asarray(drawn.get_xdata(), dtype=float), across, atol=0.3)
        np.testing.assert_allclose(np.asarray(drawn.get_ydata(), dtype=float), value)
    back = next(line for line in early.lines if line.get_marker() == ".")
    np.testing.assert_allclose(np.asarray(back.get_ydata(), dtype=float)[[0, -1]], [0.1, 0.99])
    assert any(line.get_linestyle() == "-" and set(line.get_ydata()) == {0} for line in end.lines), "the straight way is 0 at the end"
    assert [tick.get_text() for tick in end.get_xticklabels()] == ["1", "2", "4", "8"]
    places = np.concatenate([np.asarray(bars.lines[0].get_xdata(), dtype=float) for bars in end.containers])
    assert len(places) == 16 and np.diff(np.sort(places)).min() > 0.1, "no mark hides another"


def test_bars_are_of_what_is_drawn() -> None:
    """Of the accuracy early; of the difference at the end, whose intervals reach 0.03 below and 0.02 above."""
    early, end = edits.draw(graft_rows("seq", 0)).axes[:2]
    for panel, value, reach in ((early, 0.0, (-0.04, 0.04)), (end, -0.55, (-0.03, 0.02))):
        bars = next(bars for bars in panel.containers if bars.lines[0].get_marker() == "o")
        ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, np.array([0.45, 0.5, 0.6, 0.8])[:, None] + value + reach)


def test_the_legend_tells_whose_random_directions_the_crosses_are() -> None:
    figure = edits.draw(graft_rows("seq", 0))
    crosses = {line.get_label(): line.get_color() for line in figure.legends[0].legend_handles if line.get_marker() == "x"}
    assert crosses == {
        "control: random directions, all matrices": edits._EDITS["blocks", "edit"].color,
        "control: random directions, attention": edits._EDITS["attention", "edit"].color,
    }
