"""Table: what recovery brings back from the trough, from matched accuracy and from the end, with controls."""

from __future__ import annotations

from forgetting.analysis.summary import recovery_table, save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, recovery_table, save_table, inputs=("metrics", "recovery", "recovery_facts"), options=("early_steps",))
