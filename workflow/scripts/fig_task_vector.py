"""Figure: Task 0 and Task 1 against how much of the task vector is taken back."""

from __future__ import annotations

from forgetting.figures.present import present
from forgetting.figures.style import save_figure
from forgetting.figures.task_vector import draw

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "floors", "paper"), options=("matched_accuracy",))
