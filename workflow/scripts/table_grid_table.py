"""Table: every arm of the comparison."""

from __future__ import annotations

from forgetting.analysis.comparison import grid_table
from forgetting.analysis.summary import save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, grid_table, save_table, inputs=("metrics", "choice"), options=("matched_accuracy",))
