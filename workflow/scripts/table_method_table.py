"""Table: the chosen arm of every family, with its cost and the published number."""

from __future__ import annotations

from forgetting.analysis.comparison import method_table
from forgetting.analysis.summary import save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    inputs = ("metrics", "recovery", "recovery_facts", "floors", "choice", "paper")
    present(__doc__, method_table, save_table, inputs, options=("matched_accuracy", "equal_steps"))
