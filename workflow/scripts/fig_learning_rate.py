"""Figure: collapse and recovery against the learning rate of Task 1."""

from __future__ import annotations

from forgetting.figures.learning_rate import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "recovery", "recovery_facts", "floors"))
