"""Figure: which answers are forgotten, by attribute, by token and fact by fact."""

from __future__ import annotations

from forgetting.figures.answers import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("metrics", "recovery", "recovery_facts", "floors", "positions"))
