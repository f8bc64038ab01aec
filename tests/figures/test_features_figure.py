from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic_views

from forgetting.figures import feature_points, features, readout, style

ARMS = ["seq", "replay-20", "freeze-2", "ewc-1e-1", "joint"]


def frame(make, arms: list[str], seeds: int = 1) -> pd.DataFrame:
    return pd.concat([make(seed, arm) for seed in range(seeds) for arm in arms], ignore_index=True)


def curves(panel) -> list[list[float]]:
    marked = [line for line in panel.lines if line.get_marker() not in ("", "None")]
    return [list(line.get_ydata()) for line in marked if len(line.get_ydata())]


def test_every_stretch_of_training_has_its_panel_and_the_one_before_all_arms_is_drawn_once() -> None:
    rows = frame(synthetic_views.features, ARMS[:2])
    rows["value"] += (rows["before"] == "task1_early") * 10.0  # no other stretch may be taken for step 150 to the end
    panels = features.draw(rows).axes
    assert [len(curves(panel)) for panel in panels] == [2, 2, 1, 2]
    assert [panel.get_title(loc="left")[3:] for panel in panels][3] == "step 150 to the end"
    assert all(min(curve) > 10 for curve in curves(panels[3])) and all(max(curve) < 10 for curve in curves(panels[0]))


def test_layers_count_from_one_after_the_embedding() -> None:
    panel = features.draw(frame(synthetic_views.features, ARMS[:1])).axes[2]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["emb.", *map(str, range(1, synthetic_views.LAYERS + 1))]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_points_have_equal_axes_and_at_most_four_panels(count: int) -> None:
    figure = feature_points.draw(frame(synthetic_views.feature_points, ARMS[:count], seeds=2))
    figure.draw_without_rendering()
    drawn = [panel for panel in figure.axes if panel.lines]
    assert len(drawn) == min(count, 4)
    for panel in drawn:
        (left, low), (right, high) = panel.transData.transform([(0, 0), (1, 1)])
        assert right - left == pytest.approx(high - low)


def test_arrows_join_the_means_of_the_clouds() -> None:
    rows = frame(synthetic_views.feature_points, ["seq"])
    panel = feature_points.draw(rows).axes[0]
    last = rows[rows["layer"] == rows["layer"].max()]
    means = last.groupby("step")[["leading_component", "mean_shift"]].mean().to_numpy()
    np.testing.assert_allclose([arrow._posA_posB for arrow in panel.patches], [means[:2], means[1:]])
    assert [arrow.get_linestyle() == "-" for arrow in panel.patches] == [True, False]


def test_cka_is_of_task_0_and_a_later_checkpoint_and_the_lens_of_one() -> None:
    panels = readout.draw(frame(synthetic_views.features, ["seq"])).axes
    assert [len(curves(panel)) for panel in panels] == [1, 1, 2, 2]  # one checkpoint each; c, d: and after Task 0
    for color, count in ((style.MODAL_ANSWER, [1, 1, 1, 1]), (style.CONTROL_LABEL, [0, 0, 1, 1])):
        drawn = [[line for line in panel.lines if line.get_color() == color and len(line.get_ydata())] for panel in panels]
        assert [len(lines) for lines in drawn] == count, "chance, and control persons, who have answers to read and no CKA"


def test_cka_is_the_mean_over_attributes_each_of_which_has_its_own_chance() -> None:
    geometry, later = readout.draw(frame(synthetic_views.features, ["seq"])).axes[:2]
    layers = np.arange(synthetic_views.LAYERS + 1) / synthetic_views.LAYERS
    assert curves(geometry)[0] == pytest.approx(1 - 0.4 * layers), "over all questions together it is higher"
    assert curves(later)[0] == pytest.approx(1 - 0.6 * layers), "at the end"
    chance = next(line for line in geometry.lines if line.get_color() == style.MODAL_ANSWER)
    assert list(chance.get_ydata()) == pytest.approx([0.25] * len(layers))


def test_small_print_names_the_panels_that_have_bands() -> None:
    for seeds, said in ((1, "One seed; bands (c, d): 95 %"), (2, "Mean of 2 seeds; bands: 95 %")):
        assert said in readout.draw(frame(synthetic_views.features, ["seq"], seeds)).get_supxlabel()
