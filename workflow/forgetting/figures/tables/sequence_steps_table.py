"""How many steps does each task of a sequence take to learn?

**Plasticity.** One row an arm, and *alone*: plain fine-tuning on that task straight after Task 0. Steps until the accuracy on
the task being learned first reached the early stop; a dash where it never did, in some seed. An arm that needs more steps
from task to task than *alone* does has become slower to learn.
"""

from __future__ import annotations

from forgetting.analysis.sequence import steps_table

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 4,
    "inputs": {"sequence": ["all"], "sequence_metrics": ["all"], "alone": []},
}

make = steps_table
