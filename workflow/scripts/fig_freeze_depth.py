"""Figure: Task 0 and Task 1 against the number of frozen layers."""

from __future__ import annotations

from forgetting.figures.freeze_depth import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "recovery", "floors"), options=("matched_accuracy",))
