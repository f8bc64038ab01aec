"""Is it the same with other persons, optimizers, batches and rates?

**One thing changed at a time.** One row a place on an axis; ``seq`` is on each. Task 0 exact match: *trough*, the
lowest of the first 150 steps, *final*, and after one epoch of recovery from the trough (*early recovered*) and from the
end (*late recovered*). *pretrained*: what the same epoch makes of the model that never saw a question; recovery that
does not exceed it tells nothing of Task 0. *early floor*, *late floor*: what it makes of the same Task 1 without Task
0, from step 150 and from the end, where that was run. *learned*: share of seeds that learned Task 1; *task1 final*: its exact
match at the end. Where it was not learned, the end is of a model that was still learning it, and only the lowest
point and recovery from there can be compared.
"""

from __future__ import annotations

from forgetting.analysis.axes import axes_table

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "axes",
    "order": 1,
    "only_if": "axes",
    "inputs": {"metrics": ["axes"], "recovery": ["axes", "controls"]},
    "options": {"units": "data.groups.task1", "batch_size": "task1.batch_size", "learning_rate": "task1.optimizer.learning_rate"},
}

make = axes_table
