"""Table: Task 0 after as many steps on other form, other content, or the right answers about fewer persons."""

from __future__ import annotations

from forgetting.analysis.summary import recovery_controls_table, save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, recovery_controls_table, save_table, inputs=("metrics", "recovery", "recovery_facts"), options=("early_steps",))
