"""Figure: is what Task 1 does to old answers one common shift, or erosion fact by fact?"""

from __future__ import annotations

from forgetting.figures.common_shift import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("common_shift", "repair", "recall", "recovery"))
