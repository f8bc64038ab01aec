"""Accuracies and other numbers of a training job, one row each."""

from __future__ import annotations

import pyarrow as pa

RUN = [("scale", pa.string()), ("seed", pa.int32()), ("stage", pa.string()), ("arm", pa.string()), ("step", pa.int32())]
METRIC = [
    ("split", pa.string()),
    ("kind", pa.string()),
    ("metric", pa.string()),
    ("value", pa.float64()),
    ("n", pa.int64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
]
METRICS = pa.schema(RUN + METRIC)
"""One aggregated number with its interval [low, high] (95 %; NaN where none applies)."""
