"""What the paper says of shifts, angles, gradients and stages, in numbers.

Numbers behind claims of the paper that no other table has, a row a statistic and arm, with the reference that
each is read against. *shift*: how far the mean state of the last layer moves on Task 0 test questions, in
standard deviations of the states before; what is kept of the first shift at the end of Task 1 is less than 1
only where the later steps cancel part of it. *angle*: between the leading directions of two updates, less
what a random update has; below zero, they share directions; *beyond other layers*: less, besides, what the
update of another layer would give, so that above zero only the residual stream is shared. *gradients*: the
cosine of the gradients of both tasks beside that with answers of other persons; below zero they are opposed.
*turn*: the cosine of the way so far and the way that is left, at step 150 less its mean at the checkpoints before and
after; the reference is that of two straight stages that meet there.
Intervals are over seeds; with one seed only the shifts have one, over persons. Which of these numbers a claim
of the paper asks for, and when it holds, is told in docs/claims.yaml.
"""

from __future__ import annotations

from forgetting.analysis.claims import claims_table

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 1,
    "inputs": {
        "features": ["viewed"],
        "weights": ["viewed"],
        "gradients": ["viewed"],
        "landscape": ["viewed"],
    },
}

make = claims_table
