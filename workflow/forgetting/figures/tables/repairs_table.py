"""What does each repair bring back, and what does it cost of Task 1?

**Repairs, from none to training.** Of ``seq``, at the lowest point of the first 150 steps (*early*; step 150 for what
stands in the prompt and for the known shift) and at the end (*late*). *task0*: exact match of Task 0 after the repair;
*task0 random*: after its control, which does as much without knowing what; *task1*: what is left of Task 1, a dash
where it was not asked. What stands in the prompt leaves the weights, and with them Task 1, as they are.
"""

from __future__ import annotations

from forgetting.analysis.repairs import repair_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "inputs": {"graft": ["seq"], "recall": ["seq"], "repair": ["seq"], "metrics": ["seq"], "recovery": ["seq"]},
}

make = repair_table
