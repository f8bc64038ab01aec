from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures.layout import misplaced
from tests.figures.test_drift_figure import metrics_rows

from forgetting.figures.blank_names import draw


def study(seq: float, freeze: float, seeds: int) -> pd.DataFrame:
    arms = {"seq": seq, "freeze-0": freeze}
    return pd.concat(
        [metrics_rows(arm, seed, {"early": known, "end": known + 0.1}) for arm, known in arms.items() for seed in range(seeds)]
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_each_study_has_its_colour_each_arm_its_line_and_nothing_is_covered(seeds: int) -> None:
    blank = study(0.1, 0.2, seeds)
    figure = draw(blank, study(0.3, 0.4, seeds), pd.DataFrame(columns=["split", "metric", "kind", "value"]))
    assert not misplaced(figure)
    curves = {(line.get_color(), line.get_linestyle()): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    assert sorted(np.round(values[1], 6) for values in curves.values()) == [0.1, 0.2, 0.3, 0.4]
    colours = {colour: sorted(np.round(y[1], 6) for (found, _), y in curves.items() if found == colour) for colour, _ in curves}
    assert sorted(colours.values()) == [[0.1, 0.2], [0.3, 0.4]]
