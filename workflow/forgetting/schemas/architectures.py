"""What the study finds for another architecture or width."""

from __future__ import annotations

import pyarrow as pa

ARCHITECTURES = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("variant", pa.string()), ("architecture", pa.string())]
    + [("layers", pa.int32()), ("width", pa.int32()), ("parameters", pa.int64())]
    + [("metric", pa.string()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]
)
"""Of `seq`, one row a seed, variant and metric. Exact match of Task 0, held-out units: before (Task 1), trough (lowest by step 150),
peak (highest from there on), control (the peak of seq-no-task0, which never had Task 0). Of Task 1: task1_final. From the trough and from
the end: spurious_share_*, floor_share_* (docs/definitions.md); NaN where nothing was lost."""
