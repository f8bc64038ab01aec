"""Collapse, return and spurious share by architecture and size.

One row a model. Task 0 exact match of plain fine-tuning: *before* Task 1, *trough*, the lowest of the first 150 steps,
*peak*, the highest after that, and *control*, the peak of the model that never had Task 0. *spurious share*: of what was
lost, what one epoch of recovery brings back from the trough and from the end; *floor share*: the same from the model
that never had Task 0. Only a share above its floor is a sign of Task 0.
"""

from __future__ import annotations

from forgetting.analysis.architectures import architectures_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "architectures",
    "order": 1,
    "only_if": "architectures.names",
    "inputs": {"architectures": []},
}

make = architectures_table
