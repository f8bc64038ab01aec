"""Which arm stands for each family, and why.

Every arm of the comparison, and which one stands for its family. The choice is made on ``task0_val`` persons
alone; no number of this table is of the persons that the other tables and figures score. *criterion* is what
the arms were ranked by, as *reason* says; *learned*: Task 1 reached the accuracy that counts as learned in
every seed.
"""

from __future__ import annotations

from forgetting.analysis.comparison import choice_table

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 2,
    "inputs": {
        "choice": [],
    },
}

make = choice_table
