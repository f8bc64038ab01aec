"""Figure: Task 0 against the share of Task 0 that replay stores."""

from __future__ import annotations

from forgetting.figures.present import present
from forgetting.figures.replay_share import draw
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "floors"), options=("matched_accuracy",))
