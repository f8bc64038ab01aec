from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from tests.figures import synthetic_views

from forgetting.figures import weight_update
from forgetting.figures.weight_update import layers_by_components


def frame(seeds: tuple[int, ...] = (0,), arms: tuple[str, ...] = synthetic_views.VIEWED) -> pd.DataFrame:
    return pd.concat([synthetic_views.weights(seed, arm) for seed in seeds for arm in arms], ignore_index=True)


def expected(weights: pd.DataFrame, arm: str, pair: tuple[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Layers by components, an embedding repeated: mean excess, and whether it is within the range of chance."""
    rows = weights[(weights["arm"] == arm) & (weights["former"] == pair[0]) & (weights["latter"] == pair[1])]
    rows = rows[rows["metric"] == "mean_angle"].assign(excess=lambda found: found["value"] - found["chance"])
    values = rows.groupby(["layer", "component"], as_index=False)["excess"].mean()
    values["inside"] = (values["excess"].abs() < 1.5 / np.sqrt(weights["seed"].nunique())).where(values["excess"].notna())
    layers = pd.Index(sorted(rows["layer"].unique()))
    excess, inside = (layers_by_components(values, column, layers) for column in ("excess", "inside"))
    return excess, inside == 1


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_cells_within_chance_are_white_and_all_others_are_not(seeds: tuple[int, ...]) -> None:
    weights = frame(seeds)
    figure = weight_update.draw(weights, 0.99)
    columns, drawn_inside = len(weight_update.PAIRS) + 1, 0
    for row, arm in enumerate(weight_update.style.arm_order(weights["arm"])):
        for column, pair in enumerate(weight_update.PAIRS):
            excess, inside = expected(weights, arm, pair)
            panel = figure.axes[columns * row + column]
            colored, white = panel.collections
            shown = np.ma.filled(colored.get_array().astype(float), np.nan).reshape(excess.shape)
            np.testing.assert_allclose(shown, excess.where(~inside))
            assert (np.ma.getmaskarray(white.get_array()).reshape(excess.shape) == ~inside.to_numpy()).all()
            dots = panel.lines[0].get_xydata() - 0.5
            assert {(int(y), int(x)) for x, y in dots} == set(zip(*np.nonzero(inside.to_numpy()), strict=True))
            faces = colored.to_rgba(colored.get_array())[~np.ma.getmaskarray(colored.get_array())]
            assert not len(faces) or faces[:, :3].min(axis=1).max() < 0.9  # far enough from white
            assert (white.to_rgba(np.zeros(1))[0] == to_rgba("white")).all()
            drawn_inside += int(inside.to_numpy().sum())
    assert drawn_inside


def test_means_over_the_matrices_of_the_blocks_are_drawn_with_three_angles() -> None:
    weights = frame(arms=("seq",))
    panel = weight_update.draw(weights, 0.99).axes[len(weight_update.PAIRS) + 3]
    assert "of the blocks" in panel.get_title(loc="left")
    rows = weights[(weights["former"] == "task0") & (weights["latter"] == "task1_early")]
    rows = rows[~rows["component"].str.endswith("embedding")]
    for container, metric in zip(panel.containers, ("mean_angle", "weighted_angle", "principal_angle"), strict=True):
        of_metric = rows[rows["metric"] == metric]
        assert container.lines[0].get_xdata()[0] == pytest.approx((of_metric["value"] - of_metric["chance"]).mean())


def test_an_arm_that_updates_nothing_is_drawn() -> None:
    weights = frame(arms=("seq",))
    of_task1 = weights["latter"].str.startswith("task1") & ~weights["metric"].str.contains("rank|norm")
    frozen = weights.mask(of_task1, other=weights.assign(value=np.nan, chance=np.nan, chance_low=np.nan, chance_high=np.nan))
    figure = weight_update.draw(frozen, 0.99)
    assert np.ma.getmaskarray(figure.axes[1].collections[0].get_array()).all()
