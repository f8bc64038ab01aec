"""What does each part of the weights hold?

**Parts put back, and repairs without training.** Of each viewed arm, at the lowest point of the first 150 steps
(trough), where Task 1 was learned (matched) and at the end. *operation*: none (the checkpoint), start (the
model before Task 1), back (a part has its weights from before Task 1), forward (only that part has those of the
checkpoint), edit (the leading *amount* directions of the update of every matrix are taken away), interpolation
(that share of the whole way back). *task0 random*: the control of a row, random weights holding as much of the
squared update, or random directions of the same length. *task0 floor*: another control, the same part set
into the model that learned this Task 1 without Task 0; *task0 into pretrained*: into the pretrained model, which has
learned no form of question. *task0 pretrained* (and *pretrained floor*): the
same part of the pretrained model, which never learned Task 0, set into the checkpoint (and into the model that
learned Task 1 without it); *task0 of floor*: that of this model, set into the checkpoint, which brings the form of a
question and no Task 0. *task0 straight*: what the straight way back
(interpolation) has of Task 0 where it has as much of Task 1 as the row; *beyond straight*: Task 0 of the row
less that, paired by person, so above 0 the row does better than simply going back. Neither is told where
nothing of Task 1 is learned. *update share*: squared distance to the checkpoint, over that of the model before
Task 1. *common share*: how much of the squared change of the residual stream since before Task 1 all answers of
a kind share. *layer*: 0 the input embedding, then the blocks; -1 where it is not one layer.
"""

from __future__ import annotations

from forgetting.analysis.grafts import graft_table

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 2,
    "inputs": {"graft": ["viewed"]},
}

make = graft_table
