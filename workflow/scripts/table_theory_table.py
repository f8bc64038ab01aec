"""Table: whether the data support the paper's propositions, each with its number, chance level and rule."""

from __future__ import annotations

from forgetting.analysis.summary import save_table
from forgetting.analysis.verdict import theory_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, theory_table, save_table, inputs=("theory",))
