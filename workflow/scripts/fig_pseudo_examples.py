"""Figure: what LAMOL's generated examples are worth."""

from __future__ import annotations

from forgetting.figures.pseudo_examples import draw
from forgetting.figures.style import save_figure
from forgetting.present import present

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "paper"))
