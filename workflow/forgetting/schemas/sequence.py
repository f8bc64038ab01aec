"""How many answers about each unit are right before and after each task of a sequence."""

from __future__ import annotations

import pyarrow as pa

SEQUENCE = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("stage", pa.int32()), ("task", pa.int32())]
    + [("name", pa.string()), ("unit", pa.int32()), ("right", pa.int32()), ("asked", pa.int32())]
)
"""One unit at one time. stage: after how many tasks since Task 0, so that 0 is the model after Task 0; task: which task the unit belongs
to, 0 is Task 0 (its split `task0_test`), and `name` its split. right, asked: questions about the unit with a right answer, and all. The arm
`alone` is plain fine-tuning on that task straight after Task 0, and has its own task alone."""
