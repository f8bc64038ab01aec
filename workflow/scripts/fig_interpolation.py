"""Figure: losses and accuracies on straight lines between weights, and the barriers there."""

from __future__ import annotations

from forgetting.figures.interpolation import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("interpolation",))
