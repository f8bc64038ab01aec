"""Table: collapse, rebound and recovery at each learning rate of Task 1."""

from __future__ import annotations

from forgetting.present import present
from forgetting.summary import learning_rate_table, save_table

if __name__ == "__main__":
    present(__doc__, learning_rate_table, save_table, inputs=("metrics", "recovery", "recovery_facts"))
