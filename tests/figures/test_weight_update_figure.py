from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic_views

from forgetting.figures import style, weight_update, weight_update_arms


def frame(seeds: tuple[int, ...] = (0,), arms: tuple[str, ...] = synthetic_views.VIEWED) -> pd.DataFrame:
    return pd.concat([synthetic_views.weights(seed, arm) for seed in seeds for arm in arms], ignore_index=True)


def of_pair(weights: pd.DataFrame, former: str, latter: str, arm: str = "seq") -> pd.DataFrame:
    rows = weights[(weights["arm"] == arm) & (weights["former"] == former) & (weights["latter"] == latter)]
    return rows[(rows["metric"] == "mean_angle") & ~rows["component"].str.endswith("embedding")]


def shown(panel, shape: tuple[int, int]) -> np.ndarray:
    return np.ma.filled(panel.collections[0].get_array().astype(float), np.nan).reshape(shape)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_cells_are_angles_less_chance_and_other_layers_and_less_the_baseline(seeds: tuple[int, ...]) -> None:
    weights = frame(seeds)
    figure = weight_update.draw(weights)
    expected = []
    for former, latter in weight_update.PAIRS:
        rows = of_pair(weights, former, latter)
        rows = rows.assign(own=rows["value"] - rows["chance"] - rows["other_layers"])
        expected.append(rows.groupby(["layer", "component"])["own"].mean().unstack()[list(dict.fromkeys(rows["component"]))])
    for number, panel in enumerate(figure.axes[:4]):
        beyond = expected[number] - expected[0] if number else expected[0]
        np.testing.assert_allclose(shown(panel, beyond.shape), beyond, atol=1e-9)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["1", "2", "3", "4"]
    titles = [title for panel in figure.axes if (title := panel.get_title(loc="left"))]
    assert titles[:3] == ["a  two stretches of pretraining", "b  pretraining vs Task 0, less a", "c  Task 0 vs Task 1 to 150, less a"]


def planted(seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    """Every pair of every matrix is 2 degrees below chance beyond the other layers."""
    weights = frame(seeds, ("seq",))
    angles = (weights["metric"] == "mean_angle") & ~weights["component"].str.endswith("embedding")
    weights.loc[angles, ["value", "chance", "other_layers"]] = [60.0, 70.0, -8.0]
    return weights


def test_what_every_layer_and_pretraining_share_is_white() -> None:
    """All cells are as far below chance; the other layers of one of them are not, and so more of it is its own."""
    weights = planted()
    rows = of_pair(weights, "task0", "task1_early")
    weights.loc[rows[(rows["layer"] == 1) & (rows["component"] == "query")].index, "other_layers"] = 0.0
    baseline, _, early, late = (shown(panel, (synthetic_views.LAYERS, 6)) for panel in weight_update.draw(weights).axes[:4])
    assert (baseline == -2).all() and not late.any()
    assert early[0, 0] == -8 and np.count_nonzero(early) == 1


def test_cells_whose_interval_over_seeds_holds_nothing_have_a_dot() -> None:
    weights = planted((0, 1, 2))
    rows = of_pair(weights, "task0", "task1_early")
    weights.loc[rows.index, "value"] = 55 + 0.1 * rows["seed"]
    noisy = rows[(rows["layer"] == 2) & (rows["component"] == "value")]
    weights.loc[noisy.index, "value"] = 60 + np.array([-4.0, 4.0, 0.5])
    dots = weight_update.draw(weights).axes[2].lines[0].get_xydata()
    assert np.floor(dots).tolist() == [[2, 1]]
    assert not len(weight_update.draw(weights[weights["seed"] == 0]).axes[2].lines[0].get_xydata())


def test_frozen_matrices_and_missing_pairs_show_the_ground() -> None:
    weights = frame(arms=("freeze-2",))
    found = shown(weight_update.draw(weights).axes[2], (synthetic_views.LAYERS, 6))
    assert np.isnan(found[:2]).all() and not np.isnan(found[2:]).any()
    without = weights[weights["former"] != "pretraining_earlier"]
    figure = weight_update.draw(without)
    assert np.ma.getmaskarray(figure.axes[0].collections[0].get_array()).all()
    rows = of_pair(without, "task0", "task1_early", "freeze-2").query("layer == 3 and component == 'query'").iloc[0]
    own = rows["value"] - rows["chance"] - rows["other_layers"]
    assert shown(figure.axes[2], (synthetic_views.LAYERS, 6))[2, 0] == pytest.approx(own), "nothing to take off"


@pytest.mark.parametrize("seeds", [1, 3])
def test_all_arms_are_averaged_over_the_layers_that_every_arm_trains(seeds: int) -> None:
    """freeze-2 trains blocks 3 and 4 of 4. seq has another angle in 1 and 2, and another size, which are not drawn beside it."""
    weights = frame(tuple(range(seeds)))
    frozen = weights["layer"] <= 2
    others = weights.assign(value=weights["value"].where(~frozen, 0.5 * weights["value"]))
    first, second = (weight_update_arms.draw(rows) for rows in (weights, others))
    for one, other in zip(first.axes, second.axes, strict=True):
        for line, same in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(line.get_xydata(), same.get_xydata())
    said = first.get_supxlabel().replace("\n", " ")
    assert "All are of the blocks that every arm trains: 3 to 4." in said
    assert ("bars: 95 %" in said) == (seeds > 1)
    drawn = [known for bars in first.axes[0].collections if (known := [segment for segment in bars.get_segments() if len(segment)])]
    assert [len(segments) for segments in drawn if np.ptp(segments[0][:, 0]) > 0] == [1] * 6 * (seeds > 1)


def test_single_matrices_are_pale_dots_beside_their_mean() -> None:
    panel = weight_update_arms.draw(frame(arms=("seq",))).axes[1]
    rows = of_pair(frame(arms=("seq",)), "task0", "task1_early")
    dots = [line.get_xdata() for line in panel.lines if line.get_alpha() == 0.35]
    np.testing.assert_allclose(sorted(dots[1]), sorted(rows["value"] - rows["chance"]))


def test_means_of_each_arm_over_the_blocks() -> None:
    weights = frame()
    weights = weights[weights["layer"] > 2]
    figure = weight_update_arms.draw(weights)
    panel = figure.axes[1]
    for place, arm in enumerate(style.arm_order(weights["arm"])):
        rows = of_pair(weights, "task0", "task1_early", arm)
        expected = [(rows["value"] - rows["chance"] - rows["other_layers"]).mean(), (rows["value"] - rows["chance"]).mean()]
        found = [box.lines[0].get_xydata()[0] for box in panel.containers if abs(box.lines[0].get_ydata()[0] - place) < 0.5]
        np.testing.assert_allclose([x for x, _ in found], expected)


def test_an_arm_that_updates_nothing_is_drawn() -> None:
    weights = frame(arms=("seq",))
    of_task1 = weights["latter"].str.startswith("task1") & ~weights["metric"].str.contains("rank|norm")
    levels = ["value", "chance", "chance_low", "chance_high"]
    frozen = weights.mask(of_task1, other=weights.assign(**dict.fromkeys(levels, np.nan)))
    assert np.ma.getmaskarray(weight_update.draw(frozen).axes[2].collections[0].get_array()).all()
    weight_update_arms.draw(frozen)
