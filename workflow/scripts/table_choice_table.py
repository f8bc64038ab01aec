"""Table: which arm of every family was chosen, and why."""

from __future__ import annotations

from forgetting.analysis.comparison import choice_table
from forgetting.analysis.summary import save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, choice_table, save_table, inputs=("choice",))
