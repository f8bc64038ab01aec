"""The questions of a scenario, as text and tokens."""

from __future__ import annotations

import pyarrow as pa

ITEMS = pa.schema(
    [("task", pa.string()), ("split", pa.string()), ("unit", pa.int32()), ("kind", pa.string()), ("measured", pa.bool_())]
    + [("prompt", pa.string()), ("answer", pa.string())]
    + [("prompt_ids", pa.list_(pa.int32())), ("answer_ids", pa.list_(pa.int32()))]
)
"""One question. split: its name is unique in the study and is that of all tables of measurements (task0_test); task: whose split it is,
`none` where no task trains on it or asks it as its own. unit: what intervals resample, since its questions are not independent (a person);
the same unit is in one split alone. kind: the stratum that results are also given by (an attribute). measured: whether the evaluations of
training jobs ask it; the others are there for controls."""
