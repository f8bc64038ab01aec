from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from tests.figures import synthetic_views

from forgetting.figures import style
from forgetting.figures.interpolation import draw


def frame(seeds: int = 1) -> pd.DataFrame:
    arms = synthetic_views.VIEWED
    return pd.concat([synthetic_views.interpolation(seed, arm) for seed in range(seeds) for arm in arms], ignore_index=True)


def lines(panel: Axes, arm: str) -> list[np.ndarray]:
    """Points (n, 2) of the lines with markers in the colour of an arm, from left to right."""
    color = style.arm_look(arm).color.lower()
    drawn = [line.get_xydata() for line in panel.lines if to_hex(line.get_color()) == color and line.get_marker() not in ("", "None")]
    return sorted((np.asarray(points) for points in drawn), key=lambda points: points[:, 0].min())


def test_three_lines_make_a_closed_way_and_only_a_hill_on_the_last_is_one() -> None:
    panels = draw(frame()).axes
    for panel in panels[:2]:
        for arm, top in (("seq", 0.01), ("replay-20", 1.01)):
            out, back, home = lines(panel, arm)
            assert [points[:, 0].min() for points in (out, back, home)] == [0, 1, 2] and home[:, 0].max() == 3
            assert out[:, 1].max() == back[:, 1].max() == 2.01 and home[:, 1].max() == top
        assert len(lines(panel, "freeze-2")) == 1  # no recovered weights
    assert [label.get_text() for label in panels[3].get_xticklabels()] == [
        "end of\nTask 0",
        "end of\nTask 1",
        "recovered",
        "end of\nTask 0",
    ]


def test_the_last_line_is_walked_from_the_recovered_weights() -> None:
    """Its rows go the other way: from the end of Task 0."""
    rows = frame()
    rows = rows[rows["arm"] == "seq"]
    last = (rows["segment"] == "task0_end_recovered") & (rows["metric"] == "exact_match")
    rows.loc[last, "value"] = 0.5 + 0.4 * rows.loc[last, "position"]
    home = lines(draw(rows).axes[3], "seq")[-1]
    by_place = dict(zip(np.round(home[:, 0], 2), home[:, 1], strict=True))
    assert by_place[2.0] == 0.9 and by_place[3.0] == 0.5


def test_of_several_seeds_the_mean_is_drawn() -> None:
    rows = frame(3)
    rows.loc[(rows["metric"] == "exact_match") & (rows["seed"] == 2), "value"] -= 0.03
    out = lines(draw(rows).axes[2], "seq")[0]
    np.testing.assert_allclose(out[0, 1], 0.94)
