"""Figure: how the residual stream moves while Task 1 is learned."""

from __future__ import annotations

from forgetting.figures.features import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("features", "points"))
