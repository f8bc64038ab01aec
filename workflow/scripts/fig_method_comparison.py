"""Figure: every method of the comparison, what it keeps and what comes back."""

from __future__ import annotations

from forgetting.figures.method_comparison import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "recovery", "floors", "choice"), options=("matched_accuracy",))
