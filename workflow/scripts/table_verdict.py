"""Table: the verdict on every arm, in numbers and in words."""

from __future__ import annotations

from forgetting.analysis.summary import save_table
from forgetting.analysis.verdict import verdict_table
from forgetting.figures.present import present

if __name__ == "__main__":
    inputs = ("metrics", "recovery", "recovery_facts", "common_shift", "features")
    present(__doc__, verdict_table, save_table, inputs=inputs, options=("early_steps",))
