"""Spurious share and savings of every probed arm, with intervals.

What one epoch of recovery brings back, from three checkpoints of each arm: the *trough* (lowest Task 0
accuracy of the first 150 steps among the saved ones, on validation persons), the *matched* one (where Task 1
was learned, or the end where it never was) and the *end*. All accuracies are exact match on persons that
recovery does not train on.

*pretrained*, *random* and *shuffled* are the same epoch from the pretrained model that never saw a question,
from random weights, and with answers exchanged between persons; *control persons* are persons that no stage
has seen. *spurious share*: (recovered - dropped) / (before - dropped), with a bootstrap over persons; a dash
where less than two points were lost. *savings*: steps that the pretrained model needs to reach 90 %, divided
by the steps this checkpoint needs; 0 where this checkpoint never gets there in as many steps as pretraining
needs; a dash where pretraining never does, or needs more steps than were given; no interval where many of the
bootstrap draws have none. *starts above 90 %*: the checkpoint needs no step at all, so its savings are
infinite (``inf`` in the CSV). They have no mean; with several seeds of which one has them, the value is the
median over seeds, without an interval. *at least*, *at most*: what the evaluations allow; where 1 lies
between them savings are not resolved, and a dash. *kept*, *lost and recovered*, *not back after one epoch*
divide the facts that were known before Task 1 and add up to 1.

*floor*: the same epoch from the model that had the same Task 1 and never had Task 0. *kept beyond floor*,
*beyond floor*: the checkpoint, and what one epoch makes of it, minus that model's. *early area*: mean
accuracy over the first steps of recovery; *area beyond pretrained*, *beyond floor*: minus the control's.
*floor share*: the spurious share if recovery had come only to where the floor comes.

A spurious share near 1 shows that something of Task 0 was left only where it is above the floor share, or
where one of the three differences to the floor is surely above 0: otherwise Task 1 itself taught as much.
"""

from __future__ import annotations

from forgetting.analysis.summary import recovery_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 2,
    "inputs": {
        "metrics": ["probed"],
        "recovery": ["probed", "controls"],
        "recovery_facts": ["probed", "controls"],
    },
    "options": {"early_steps": "recovery.evaluate_steps.-1"},
}

make = recovery_table
