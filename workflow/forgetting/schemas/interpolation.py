"""Losses on straight lines in weight space."""

from __future__ import annotations

import pyarrow as pa

INTERPOLATION = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("segment", pa.string()), ("split", pa.string())]
    + [("metric", pa.string()), ("position", pa.float64()), ("value", pa.float64()), ("error", pa.float64())]
)
"""One number on a straight line in weight space. segment, from the first to the second: task0_trough, trough_recovered,
task0_trough_recovered (both to the weights recovered from the trough), and the same with the end of Task 1: task0_end, end_recovered,
task0_end_recovered. metric: loss (nats per answer token) and exact_match (share) at `position`, from 0 to 1; barrier (highest loss above
that of the higher end) and barrier_above_line (largest excess over the straight line between the losses of the ends), nats per answer
token, with the position of the peak (NaN where there is no barrier: value 0). error: standard error over units, NaN where none applies."""
