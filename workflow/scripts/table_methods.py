"""Table: every arm, without and with early stop."""

from __future__ import annotations

from forgetting.analysis.summary import methods_table, save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, methods_table, save_table, inputs=("metrics", "floors"), options=("matched_accuracy",))
