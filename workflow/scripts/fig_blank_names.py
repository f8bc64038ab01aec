"""Figure: the same study with and without name tokens that pretraining never saw."""

from __future__ import annotations

from forgetting.figures.blank_names import draw
from forgetting.figures.style import save_figure
from forgetting.present import present

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "pretrained", "floors"))
