"""Table: what the study had to reach, and what it reached."""

from __future__ import annotations

from forgetting.present import present
from forgetting.summary import gates_table, save_table

if __name__ == "__main__":
    present(__doc__, gates_table, save_table, inputs=("gates",))
