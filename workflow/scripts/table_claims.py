"""Table: numbers behind claims of the paper that no other table has."""

from __future__ import annotations

from forgetting.analysis.claims import claims_table
from forgetting.analysis.summary import save_table
from forgetting.figures.present import present

if __name__ == "__main__":
    present(__doc__, claims_table, save_table, inputs=("features", "weights", "gradients"))
