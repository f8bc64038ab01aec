"""Recovery of every earlier task after each task.

One row an arm, task that was learned last (*after*) and earlier task. *dropped*: its accuracy then; *recovered*:
after one epoch of it again; *shuffled*: after one whose answers are those of others; then what the epoch makes of
models that never learned it: *pretrained* only, *random* weights and, for tasks after Task 0, the model after Task 0,
which knows the form of the questions. Task 0 is recovered on ``task0_train`` and asked of persons whose questions no
stage trained on; any other task is recovered on half of its persons and asked of the others, who were trained on in
that task.

Recovered accuracies that fall, task by task, towards or below those of models that never learned the task contradict
the claim. Where the pretrained model comes to the ceiling, as it may of Task 0, nothing can be above it: one that is
beside it there shows nothing of Task 0, and one below it has lost what even that model had.
"""

from __future__ import annotations

from forgetting.analysis.sequence import recovery_table

SHOWS = {
    "question": "What happens over many tasks?",
    "in": "sequence",
    "order": 3,
    "inputs": {"sequence": ["all"], "sequence_recovery": ["all"], "sequence_controls": []},
}

make = recovery_table
