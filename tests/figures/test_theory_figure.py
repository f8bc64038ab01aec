from __future__ import annotations

from math import acos, degrees, sqrt

import numpy as np
import pandas as pd
import pytest
from matplotlib.markers import CARETUPBASE
from tests.figures.synthetic_views import theory_rows

from forgetting.figures import style, theory, theory_depth, theory_freezing
from forgetting.figures.theory import in_degrees
from forgetting.figures.theory_freezing import relative_to


def test_units_are_those_of_the_same_seed() -> None:
    rows = pd.DataFrame({"seed": [0, 1], "value": [2.0, 3.0], "low": [1.0, 2.0], "high": [3.0, 4.0]})
    found = relative_to(rows, pd.Series([4.0, 2.0], pd.Index([0, 1], name="seed"), name="unit"))
    np.testing.assert_allclose(found[["value", "low", "high"]], [[0.5, 0.25, 0.75], [1.5, 1.0, 2.0]])


def test_shares_become_angles_and_their_ends_change_places() -> None:
    rows = theory_rows("seq", 0, 10.0)
    found = in_degrees(rows[rows["metric"] == "single_shifts_along"]).iloc[0]
    expected = [degrees(acos(sqrt(share))) for share in (0.1, 0.11, 0.09, 0.05)]
    assert found[["value", "low", "high", "chance"]].tolist() == pytest.approx(expected)
    assert found["chance_low"] < found["chance"] < found["chance_high"]


def test_a_share_within_its_error_of_none_is_open_with_a_caret_and_joined_to_nothing() -> None:
    rows = pd.concat([theory_rows(arm, 0, 10.0) for arm in ("seq", "replay-20")])
    none = (rows["arm"] == "seq") & (rows["metric"] == "mean_shift_along_first") & (rows["layer"] == 2)
    rows.loc[none, ["value", "low", "high"]] = [0.0, 0.0, 0.04]
    panel = theory.draw(rows).axes[1]
    seq = [line for line in panel.lines if line.get_color() == style.arm_look("seq").color]
    (joined,) = [line for line in seq if line.get_linestyle() == "-"]
    assert [bool(nothing) for nothing in np.isnan(joined.get_ydata())] == [layer == 2 for layer in sorted(set(rows["layer"]) - {0})]
    marks = {line.get_marker(): line for line in seq if line.get_markerfacecolor() == "white" or line.get_marker() == CARETUPBASE}
    (open_mark, caret) = (marks[marker] for marker in (style.arm_look("seq").marker, CARETUPBASE))
    assert list(open_mark.get_ydata()) == [90] and 90 < caret.get_ydata()[0] < panel.get_ylim()[1]
    assert any(np.allclose(bar[:, 1], [degrees(acos(0.2)), 90]) for bars in panel.collections[1:] for bar in bars.get_segments())


def test_mean_shifts_are_of_step_150_alone_and_no_two_arms_share_a_place() -> None:
    rows = pd.concat([theory_rows(arm, 0, 10.0) for arm in ("seq", "replay-20")])
    figure = theory.draw(rows)
    for panel, stages in zip(figure.axes, (2, 1, 2, 1), strict=True):
        lines = [
            line for line in panel.lines if line.get_linestyle() in ("-", "--") and len(line.get_xdata()) == rows["layer"].nunique() - 1
        ]
        assert len(lines) == 2 * stages
        assert not set(lines[0].get_xdata()) & set(lines[-1].get_xdata())


@pytest.mark.parametrize("seeds", [1, 2])
def test_freezing_is_drawn_as_a_share_of_seq_with_the_prediction(seeds: int) -> None:
    frames = [
        theory_rows(arm, seed, last)
        for seed in range(seeds)
        for arm, last in (("seq", 10.0 + seed), ("freeze-1", 8.0 + 0.8 * seed), ("freeze-3", 4.0 + 0.4 * seed), ("replay-20", 5.0))
    ]
    figure = theory_freezing.draw(pd.concat(frames))
    points = [np.column_stack(line.get_data()).astype(float) for line in figure.axes[0].lines]
    for expected in ([[-1, 1]], [[1, 0.8]], [[3, 0.4]], [[-1, 1], [0, 0.8], [1, 0.6], [2, 0.4], [3, 0.2]]):
        assert any(drawn.shape == np.shape(expected) and np.allclose(drawn, expected) for drawn in points), expected
    moved = [np.column_stack(line.get_data()).astype(float) for line in figure.axes[2].lines]
    assert any(drawn.shape == (1, 2) and np.allclose(drawn, [[3, 2.2]], atol=0.15) for drawn in moved)
    assert "replay 20 %" not in {text.get_text() for text in figure.legends[0].get_texts()}


@pytest.mark.parametrize("arm", ["seq", "freeze-2"])
@pytest.mark.parametrize("module", [theory, theory_depth])
def test_one_arm_alone_can_be_drawn(module, arm: str, tmp_path) -> None:
    style.save_figure(module.draw(theory_rows(arm, 0, 10.0)), [tmp_path / "theory.png"])
    assert (tmp_path / "theory.png").stat().st_size > 0


def test_small_print_names_the_panels_that_have_intervals() -> None:
    for module, one, two in ((theory, "bars (b, d):", "bars:"), (theory_depth, "bands (a):", "bands:")):
        seeds = [theory_rows("seq", seed, 10.0) for seed in range(2)]
        assert f"One seed; {one}" in module.draw(seeds[0]).get_supxlabel()
        assert f"Mean of 2 seeds; {two}" in module.draw(pd.concat(seeds)).get_supxlabel()


def test_the_own_part_of_a_layer_is_over_the_spread_and_absent_where_it_is_frozen() -> None:
    found = theory_depth.own_parts(theory_rows("freeze-2", 0, 10.0).query("component == 'stream' and after == 'task1_end'"))
    assert found["value"].tolist() == pytest.approx([0.4, 0.4])  # 2 over a spread of 5
