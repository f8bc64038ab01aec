"""Figure: losses of both tasks on the plane of a Task 1 run."""

from __future__ import annotations

from forgetting.figures.landscape import draw
from forgetting.figures.present import present
from forgetting.figures.style import save_figure

if __name__ == "__main__":
    present(__doc__, draw, save_figure, inputs=("landscape",), options=("axes",))
