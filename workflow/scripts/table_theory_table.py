"""Table: whether the data support the paper's propositions, each with its number, chance level and rule."""

from __future__ import annotations

from forgetting.present import present
from forgetting.summary import save_table
from forgetting.verdict import theory_table

if __name__ == "__main__":
    present(__doc__, theory_table, save_table, inputs=("theory",))
