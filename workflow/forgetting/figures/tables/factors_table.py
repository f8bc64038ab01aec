"""What is lost, returns by itself and is recovered in each cell of values and format?

**The crossed experiment.** One row for each format of Task 1 (the words of Task 0, other words, statements), its
values (of both halves, or of half B alone) and the half of the persons that are asked (A, B, both). Task 0 exact
match: *trough*, the lowest of the first 150 steps, *rebound*, how far it rises again later without any training on
it, *early recovered* and *late recovered*, one epoch on Task 0 questions of other persons from the lowest of the
kept checkpoints and from the end. *First token*: of the answer, at the trough; statements are trained without an
end token, and a model that fails to stop loses exact match, but not this. Each floor is the same number of the run
that never had Task 0. *Task 1 there*: exact match of Task 1 at the trough, in the format that it trains. Trough and
rebound are the lowest and the highest of many evaluations: a rebound within the width of an interval is noise.
"""

from __future__ import annotations

from forgetting.analysis.factors import factor_table

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "factors",
    "order": 1,
    "only_if": "factors",
    "inputs": {
        "metrics": ["factors"],
        "facts": ["factors"],
        "halves": [],
        "recovery": ["factors"],
        "recovery_facts": ["factors"],
    },
}

make = factor_table
