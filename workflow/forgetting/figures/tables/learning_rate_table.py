"""Collapse, rebound and spurious share at every learning rate.

The runs of the learning-rate figure as numbers, one row a rate. *trough*: lowest Task 0 exact match of the
first 150 steps; *peak*: the highest after it; *recovered*: after one recovery epoch, from the trough and from
the step that learned Task 1; *spurious share*: the part of the loss that came back; *pretrained*: the same
epoch from the model that never saw a question. Trough and peak are the lowest and the highest of many
evaluations: a difference within the width of an interval is noise.

Where *Task 1 learned* is not 100 %, the matched columns are those of the last checkpoint of such runs, and
not comparable with the others. Look for the rate from which the spurious share falls: from there on one epoch
does not bring back what was lost. A high share shows by itself nothing of Task 0, as *pretrained* may be at
its ceiling without any: see the *floor share* of the recovery table.
"""

from __future__ import annotations

from forgetting.analysis.summary import learning_rate_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 4,
    "inputs": {
        "metrics": ["rates"],
        "recovery": ["rates", "controls"],
        "recovery_facts": ["rates", "controls"],
    },
}

make = learning_rate_table
