"""Figure: what LAMOL's generated examples are worth."""

from __future__ import annotations

from forgetting.figures.present import present
from forgetting.figures.pseudo_examples import draw
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "paper"))
