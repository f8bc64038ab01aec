"""Figure: angles between the weight updates of the stages, beside their ranks."""

from __future__ import annotations

from forgetting.figures.present import present
from forgetting.figures.style import save_figure
from forgetting.figures.weight_update import draw

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("weights",), options=("energy",))
