"""Figure: forgetting against how far a model has moved on Task 1."""

from __future__ import annotations

from forgetting.figures.drift import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("drift", "metrics"))
