"""Figure: accuracy on Task 0 and Task 1 against step, and what recovery brings back."""

from __future__ import annotations

from forgetting.figures.performance import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "recovery", "floors"))
