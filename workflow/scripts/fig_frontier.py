"""Figure: all arms on the plane of Task 1 and Task 0 accuracy."""

from __future__ import annotations

from forgetting.figures.frontier import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "floors"), options=("matched_accuracy",))
