"""Table: which arm of every family was chosen, and why."""

from __future__ import annotations

from forgetting.comparison import choice_table
from forgetting.present import present
from forgetting.summary import save_table

if __name__ == "__main__":
    present(__doc__, choice_table, save_table, inputs=("choice",))
