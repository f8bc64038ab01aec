"""What the study had to reach, and what it reached.

What each seed had to reach before its later results mean anything, and what it reached: the knowledge in the
biographies, Task 0 before Task 1, control persons at chance, an early collapse of ``seq``, Task 1 learned,
and recovery from step 150. The interval is 95 %, clustered by person; the floor is what a predictor without
knowledge reaches; *control* is the same recovery from the pretrained model, which had no Task 0 to forget.

A gate that fails stops the study, unless the config says ``gates: warn``; then *NO* stands here, and the
figures that depend on it should not be trusted. *Not applicable* stands where Task 0 was not known before
Task 1: then neither a collapse nor a recovery of it says anything. A control gate that fails would mean that
answers leak, and would undo everything else.
"""

from __future__ import annotations

from forgetting.analysis.summary import gates_table

SHOWS = {
    "question": "Can I trust it?",
    "in": "all",
    "order": 1,
    "inputs": {
        "gates": [],
    },
}

make = gates_table
