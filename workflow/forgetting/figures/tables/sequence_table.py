"""A sequence of tasks in five numbers.

One row an arm, over Task 0 and all later tasks. *average accuracy*: over all tasks, after the last; *backward transfer*:
how the tasks before the last one changed since they were learned, on average; *forward transfer*: what each task knew
just before it was learned beyond what it knew at the start (the first task adds 0 by definition); *forgetting*: the best
a task ever was before the last task, minus what it is after it; *intransigence*: a task learned alone, straight after
Task 0, minus the same task in the sequence. Intervals are of a bootstrap over persons, each with all answers of all
stages, and with several seeds over these.

Backward transfer and forgetting differ where a task improves after it was learned. Neither says whether what was lost
is gone: the recovery of each task does.
"""

from __future__ import annotations

from forgetting.analysis.sequence import sequence_table

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 1,
    "inputs": {"sequence": ["all"]},
}

make = sequence_table
