"""The chosen arm of every family at matched Task 1 and at equal steps, its cost, its recovery, and the paper's number.

The arm of each family that was chosen on validation persons, scored on held-out ones. Accuracies are exact
match with a 95 % interval: clustered by person for one seed, over seeds for several (Student's t on the
logit).

*steps*: length of the run. *trough*: lowest Task 0 accuracy of the first 150 steps; of an arm that never had Task
0, that at step 150. *where Task 1 is at 50 %*: an earlier point that more arms reach. *at matched Task 1*: Task 0
where Task 1 first reaches the accuracy that counts as learned, interpolated between evaluations. *compared where
Task 1 is at*: the highest of 99, 95, 90, 75 and 50 % that every seed of the arm and of ``seq`` reaches; *Task 0
there* leaves no seed out. *minus seq*: the same, less what ``seq`` with the same seed has there; this interval
tells arms apart, not those of the two columns. *all together*: the interval that holds for all arms of the table at
once (Bonferroni); an arm surely gains if it is above zero. LAMOL starts from a Task 0 of its own, the others from
the weights of ``seq``: read its gain beside *Task 0 before*. *at step ...*: both tasks after equally many steps.
*with early stop*: at the first evaluation that counts as learned. *not reached*: in no seed; where only some seeds
got there, the cell says how many, and there is no mean, since those that did are no sample of all.

*drop*, *after one recovery epoch*, *spurious share*: from the checkpoint named in *recovered from*. That is
the first evaluation at which Task 1 is learned (*matched*), or in all seeds the end of the run (*end*) for an
arm that did not learn Task 1 in every seed. *recovered from step*, *Task 0* and *Task 1 before recovery* are
of that checkpoint, which comes after the interpolated match.

*seconds*: training without evaluation, by the clock and as measured. Jobs run side by side and slow each
other down, so differences between arms say little; ``benchmarks/methods.py`` measures one arm at a time.
*preparation seconds*: the same for what a method does before training. *extra passes*: questions that went
through the model beyond those of ``seq`` in as many steps, preparation included; 1 is twice as many. *stored
bytes*: what the method keeps of Task 0. LAMOL starts from a Task 0 of its own, which passes each question
twice; that cost is in no column. A task vector is not trained, so it has no cost beyond that of ``seq``. A
dash is what is not defined.

The last two columns are the paper's own number (or its bound) and how far to trust it. Its model, data and
training differ: compare the order of methods, not the digits. The last rows are the floors, and recovery from
the pretrained model.
"""

from __future__ import annotations

from forgetting.analysis.comparison import method_table

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "metrics": ["compared"],
        "recovery": ["compared", "controls"],
        "recovery_facts": ["compared", "controls"],
        "floors": [],
        "choice": [],
        "paper": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy", "equal_steps": "task1.steps"},
}

make = method_table
