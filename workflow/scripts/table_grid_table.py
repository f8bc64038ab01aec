"""Table: every arm of the comparison."""

from __future__ import annotations

from forgetting.comparison import grid_table
from forgetting.present import present
from forgetting.summary import save_table

if __name__ == "__main__":
    present(__doc__, grid_table, save_table, inputs=("metrics", "choice"), options=("matched_accuracy",))
