"""Whether freezing the bottom layers makes the last one shift less.

The rows of the theory table on the third proposition, with all arms of the comparison that freeze bottom
layers: whether its *premise* is met, that the layers that train move no further than in ``seq``; whether it
*holds*; and whether the shift is less than the prediction from the parts of ``seq``. Those of arm *freeze*
are slopes over the number of frozen layers, fitted to all of these arms, beside that of the *prediction*.
Verdicts and intervals are as in the theory table.

**What would contradict the theory.** *Does not hold* where the premise is met.
"""

from __future__ import annotations

from forgetting.analysis.verdict import freezing_table

SHOWS = {
    "question": "What do the features show?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "theory": ["main", "compared:freeze"],
    },
}

make = freezing_table
