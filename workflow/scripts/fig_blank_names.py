"""Figure: the same study with and without name tokens that pretraining never saw."""

from __future__ import annotations

from forgetting.figures.blank_names import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "pretrained", "floors"))
