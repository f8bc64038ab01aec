from __future__ import annotations

import numpy as np
import pytest
from tests.figures.layout import misplaced
from tests.figures.synthetic import MODELS, architectures

from forgetting.figures.architectures import draw


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_one_row_a_model_by_size_and_nothing_is_covered(seeds: tuple[int, ...]) -> None:
    figure = draw(architectures(seeds))
    assert not misplaced(figure)
    accuracy, share = figure.axes
    names = [label.get_text().split("\n")[0] for label in accuracy.get_yticklabels()]
    assert names == ["GPT-NeoX, 4 x 192", "Llama, 4 x 192", "GPT-2, 4 x 192", "GPT-NeoX, 4 x 384", "GPT-NeoX, 4 x 768"]
    lowest, highest = accuracy.get_ylim()[1], accuracy.get_ylim()[0]
    assert (lowest, highest) == (-0.5, len(MODELS) - 0.5), "the smallest stands at the top"
    marks = {line.get_marker(): np.asarray(line.get_xdata()) for line in accuracy.lines if line.get_alpha() is None}
    assert np.allclose(marks["v"][0], 0.2 + np.mean(seeds) * 0.01, atol=2e-3)
    spurious = {line.get_marker(): len(line.get_xdata()) for line in share.lines if line.get_alpha() is None}
    assert spurious["v"] == len(MODELS) - 1, "a model that lost nothing has no share"
