"""Table: what the study had to reach, and what it reached."""

from __future__ import annotations

from forgetting.analysis.summary import gates_table, save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, gates_table, save_table, inputs=("gates",))
