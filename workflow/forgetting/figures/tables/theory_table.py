"""What is to be said of the three propositions of the paper.

One row a proposition, question, statistic, arm and checkpoint, on held-out Task 0 questions at the last prompt
token. (1) If what updates write avoids the leading principal components of the residual stream, the states
shift nearly at right angles to them. (2) If all layers are updated, shifts add up with depth. (3) If the layers
that train move no further than in ``seq``, freezing the bottom ones makes the last one shift less.

Of each it is asked apart whether the *premise is met*, whether *it holds* in absolute terms, and whether there
is *more than chance* would give. (1) is asked twice, each time with a premise of its own: of the first
principal component (the paper's own quantity), and of the leading ones together. Cosines are root mean squares
over layers, of the mean shift or of single questions; they hold below 0.26, an angle of 75 degrees, which is a
convention. Shares are their squares, over that of a random direction.

A *verdict* is given where all of the 95 % interval lies on one side of *reference*, else *undecided*. The
interval is Student's t over seeds; with one seed over persons, which know nothing of the next run, so the
verdict begins with *in this run*. Numbers of weights have no interval then and are compared as they are. Where
the premise is not met the proposition *does not apply*, and what is seen stands in brackets. *No better than a
random direction*: the share is not surely below chance.

**What would contradict the theory.** *Does not hold* where the premise is met; for (1) the mean shift is what
the paper claims, and *does not hold for single questions* limits it.
"""

from __future__ import annotations

from forgetting.analysis.verdict import theory_table

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 2,
    "inputs": {
        "theory": ["main"],
    },
}

make = theory_table
