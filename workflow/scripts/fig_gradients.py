"""Figure: whether the gradients of Task 0 and Task 1 are opposed."""

from __future__ import annotations

from forgetting.figures.gradients import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("gradients",))
