"""Table: numbers behind claims of the paper that no other table has."""

from __future__ import annotations

from forgetting.claims import claims_table
from forgetting.present import present
from forgetting.summary import save_table

if __name__ == "__main__":
    present(__doc__, claims_table, save_table, inputs=("features", "weights", "gradients"))
