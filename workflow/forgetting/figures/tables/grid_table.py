"""Every arm of the comparison.

Every arm of the comparison, scored on held-out persons. *chosen*: by validation persons, so the best of these rows
need not be the chosen one. *steps*: length of the run. *trough*: lowest Task 0 accuracy of the first 150 steps; of
an arm that never had Task 0, that at step 150. *where Task 1 is at 50 %*, *at matched Task 1*: Task 0 where Task 1
first reaches that, or the accuracy that counts as learned, interpolated between evaluations. *with early stop*:
Task 0 at the first evaluation that counts as learned. *compared where Task 1 is at*: the highest of 99, 95, 90, 75
and 50 % that every seed of the arm and of ``seq`` reaches. *not reached*: in no seed; where only some seeds got
there, the cell says how many, without a mean. *all together*: the interval that holds for all arms of this table at
once.
"""

from __future__ import annotations

from forgetting.analysis.comparison import grid_table

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 3,
    "inputs": {
        "metrics": ["compared"],
        "choice": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

make = grid_table
