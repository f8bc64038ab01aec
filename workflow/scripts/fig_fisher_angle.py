"""Figure: Fisher information of Task 0 against the angle between Task 1 updates."""

from __future__ import annotations

from forgetting.figures.fisher_angle import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("weights", "fisher"))
