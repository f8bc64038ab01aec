from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic_views

from forgetting.analysis.turning import two_straight_stages
from forgetting.figures import style, turning
from forgetting.figures.landscape import draw, loss_levels, panels_of
from forgetting.figures.tables.recovery_path import make


def frame(seeds: int = 1, arms: tuple[str, ...] = synthetic_views.VIEWED) -> pd.DataFrame:
    return pd.concat([synthetic_views.landscape(seed, arm) for seed in range(seeds) for arm in arms], ignore_index=True)


def test_at_most_four_panels_with_one_scale_on_both_axes() -> None:
    shown = {1: ["seq"], 2: ["seq", "freeze-2"], 3: ["seq", "replay-20", "freeze-2"], 4: ["seq", "replay-20", "freeze-0", "freeze-2"]}
    for count, arms in shown.items():
        panels = panels_of(pd.Series(arms))
        assert panels[:2] == [("seq", "task0_loss"), ("seq", "task1_loss")]
        assert len(panels) == {1: 2, 2: 4, 3: 4, 4: 4}[count]
    figure = draw(frame())
    drawn = [panel for panel in figure.axes if panel.get_title(loc="left")]
    assert len(drawn) == 4 and all(panel.get_aspect() == 1 for panel in drawn)


def test_an_error_is_told_beside_the_distance_of_two_levels() -> None:
    rows = frame(arms=("seq",))
    grid = rows[rows["kind"] == "grid"]
    share = grid["task0_error"] / grid["task0_loss"]
    levels = loss_levels(grid[["task0_loss", "task1_loss"]].to_numpy())
    said = draw(rows).get_supxlabel().replace("\n", " ")
    assert (
        f"Task 0 {100 * share.median():.0f} % ({100 * share.max():.0f} %)" in said
        and f"the next: {100 * (levels[1] / levels[0] - 1):.0f} %." in said
    )


def test_every_checkpoint_is_a_dot_and_stars_lie_upon_the_marks() -> None:
    panel = draw(frame(arms=("seq", "replay-20"))).axes[0]
    assert next(line for line in panel.lines if line.get_marker() == "o" and len(line.get_xdata()) == len(synthetic_views.CHECKPOINTS))
    stars = [line for line in panel.lines if line.get_marker() == "*"]
    marks = [line for line in panel.lines if line.get_marker() in "^s"]
    assert min(star.get_zorder() for star in stars) > max(mark.get_zorder() for mark in marks)
    assert max(star.get_markersize() for star in stars) < min(mark.get_markersize() for mark in marks), "which are seen around them"


def path(points: dict[int, tuple[float, float]]) -> pd.DataFrame:
    """The trajectory of a path in a plane whose first part goes along alpha, as the view measures it."""
    steps = np.array(list(points))
    place = np.array(list(points.values()), dtype=float)
    left = place[-1] - place
    with np.errstate(invalid="ignore"):
        turn = (place * left).sum(1) / np.linalg.norm(place, axis=1) / np.linalg.norm(left, axis=1)
    made = pd.DataFrame({"step": steps, "alpha": place[:, 0], "beta": place[:, 1], "turn": turn})
    return made.assign(distance=np.linalg.norm(place, axis=1))


def test_two_straight_stages_are_what_such_a_path_has() -> None:
    """A path of two lines that do not meet at a right angle has itself as its reference."""
    points = {0: (0, 0), 50: (1, 0), 100: (2, 0), 150: (3, 0), 300: (4, 2), 800: (5, 4), 2000: (7, 8)}
    rows = path({step: (float(x), float(y)) for step, (x, y) in points.items()})
    found = two_straight_stages(rows)
    np.testing.assert_allclose(found["turn"].to_numpy()[1:-1], rows["turn"].to_numpy()[1:-1])
    assert found["turn"].iloc[1:-1].idxmin() == 3


def test_an_arc_through_the_same_three_models_is_told_from_two_stages() -> None:
    """Both have the same corner in the plane of the landscape; only the turning profile differs."""
    angles = {0: 0.0, 50: 0.3, 150: 0.8, 800: 1.2, 2000: np.pi / 2}
    arc = {step: np.array([np.sin(angle), 1 - np.cos(angle)]) for step, angle in angles.items()}
    first = arc[150] / np.linalg.norm(arc[150])
    turned = {step: (float(at @ first), float(at @ [-first[1], first[0]])) for step, at in arc.items()}
    rows = path(turned)
    profile, reference = rows["turn"].to_numpy()[1:-1], two_straight_stages(rows)["turn"].to_numpy()[1:-1]
    np.testing.assert_allclose(profile, np.cos(np.pi / 4))
    assert reference[1] == pytest.approx(profile[1]) and (reference[[0, 2]] > profile[[0, 2]] + 0.1).all()


def test_the_reference_is_the_mean_over_the_seeds_as_the_lines_are() -> None:
    rows = frame(2, ("seq",))
    here = (rows["seed"] == 1) & (rows["kind"] == "trajectory")
    rows.loc[here, ["beta", "distance", "turn"]] = (rows.loc[here, ["beta", "distance", "turn"]] * [2.0, 1.5, 0.5]).to_numpy()
    paths = rows[(rows["kind"] == "trajectory") & (rows["step"] > 0) & (rows["weights"] == "all")]
    one, other = (two_straight_stages(path).set_index("step")["turn"] for _, path in paths.groupby("seed"))
    assert not np.allclose(one.iloc[:-1], other.iloc[:-1])
    line = turning.draw(rows).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), ((one + other) / 2).dropna())


def test_the_share_in_the_plane_leaves_out_the_models_that_span_it() -> None:
    rows = frame(2)
    paths = rows[(rows["kind"] == "trajectory") & (rows["step"] > 0)]
    assert set(turning.off_the_corners(paths)["step"]) == set(synthetic_views.CHECKPOINTS) - {0, 150, 4000}


def test_the_blocks_of_one_arm_alone_are_in_the_plane() -> None:
    figure = turning.draw(frame())
    openly = [line for line in figure.axes[2].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_color() for line in openly] == [style.arm_look("seq").color]
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"two straight stages (seq; a, b)", "blocks alone (seq; c)"} <= texts


def test_an_arm_whose_blocks_are_frozen_has_a_path_of_all_weights_alone() -> None:
    rows = frame(arms=("seq",))
    panels = turning.draw(rows[rows["weights"] != "blocks"]).axes
    assert len(panels[0].lines) > len(panels[1].lines)


def test_a_way_back_and_another_way_are_told_apart() -> None:
    """Both recover from the same place and come as far; one ends nearer to the end of Task 0, the other farther from it."""
    rows, lines = (
        frame(3, ("seq", "replay-20")),
        [synthetic_views.interpolation(seed, arm) for seed in range(3) for arm in ("seq", "replay-20")],
    )
    back = (rows["arm"] == "seq") & (rows["kind"] == "recovery_trough") & (rows["epochs"] > 0)
    rows.loc[back, ["way_back", "distance"]] = [0.9, 0.5]
    table = make(rows, pd.concat(lines)).set_index(["arm", "from", "weights"])
    assert list(dict.fromkeys(table.index.get_level_values(0))) == ["seq", "replay-20"]
    undone, elsewhere = (table.loc[(arm, "trough", "all")] for arm in ("seq", "replay-20"))
    assert (undone["distance"], undone["recovered_distance"], undone["way_back"]) == pytest.approx((1.5, 0.5, 0.9))
    assert elsewhere["recovered_distance"] == pytest.approx(2.0) and elsewhere["way_back"] == pytest.approx(0.06)
    assert elsewhere["way_back_low"] < 0.06 < elsewhere["way_back_high"]
    assert undone["barrier"] == 0 and elsewhere["barrier"] == 1
    assert table.xs("blocks", level=2)["barrier"].isna().all()


def test_without_recovered_weights_the_table_is_empty() -> None:
    assert make(frame(arms=("freeze-2",)), synthetic_views.interpolation(0, "freeze-2")).empty
