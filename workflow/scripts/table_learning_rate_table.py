"""Table: collapse, rebound and recovery at each learning rate of Task 1."""

from __future__ import annotations

from forgetting.analysis.summary import learning_rate_table, save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, learning_rate_table, save_table, inputs=("metrics", "recovery", "recovery_facts"))
