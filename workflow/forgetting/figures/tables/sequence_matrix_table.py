"""Accuracy on every task after every task, with intervals.

The matrix R, one row an arm and task that was learned. Task 0 is asked of persons whose questions no stage trained on, a
later task of all its persons. Look down a column: a value below that of the task's own row, by more than the intervals,
is forgetting.
"""

from __future__ import annotations

from forgetting.analysis.sequence import matrix_table

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 2,
    "inputs": {"sequence": ["all"]},
}

make = matrix_table
