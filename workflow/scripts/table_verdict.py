"""Table: the verdict on every arm, in numbers and in words."""

from __future__ import annotations

from forgetting.present import present
from forgetting.summary import save_table
from forgetting.verdict import verdict_table

if __name__ == "__main__":
    inputs = ("metrics", "recovery", "recovery_facts", "common_shift", "features")
    present(__doc__, verdict_table, save_table, inputs=inputs, options=("early_steps",))
