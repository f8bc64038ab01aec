"""Is it the format that is lost, or do all answers shift towards the new values?

**The two accounts.** One row for each format of Task 1 and its values (of both halves of the persons, or of half B
alone). What persons of half A and of half B do at the lowest of the first 150 steps: *collapse* where the whole
interval lies below half of what was known before, *holds* where it lies above three quarters of it, else *cannot say*;
*alike* where the intervals of A and B overlap, *alike beyond floor* where those of what each has beyond the same
Task 1 without Task 0 do, as the answers of B are oftener right by chance. *Format account* (the paper) and *common
shift* (Palit and others 2026): whether the cell came out as the account predicts. The predictions were written down
before the runs (docs/findings.md). A cell that comes out as both predict tells nothing between them, and one seed
speaks of its own run alone.
"""

from __future__ import annotations

import pandas as pd

from forgetting.analysis.factors import account_table, factor_table

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "factors",
    "order": 2,
    "only_if": "factors",
    "inputs": {
        "metrics": ["factors"],
        "facts": ["factors"],
        "halves": [],
        "recovery": ["factors"],
        "recovery_facts": ["factors"],
    },
}


def make(
    metrics: pd.DataFrame, facts: pd.DataFrame, halves: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame
) -> pd.DataFrame:
    return account_table(factor_table(metrics, facts, halves, recovery, recovery_facts))
