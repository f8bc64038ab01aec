"""Figure: the propositions of the paper, measured layer by layer."""

from __future__ import annotations

from forgetting.figures.present import present
from forgetting.figures.style import save_figure
from forgetting.figures.theory import draw

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("theory",))
