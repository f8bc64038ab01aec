"""Fisher information of each matrix."""

from __future__ import annotations

import pyarrow as pa

FISHER = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("layer", pa.int32()), ("component", pa.string())]
    + [("fisher", pa.float64()), ("weights", pa.int64())]
)
"""Mean diagonal Fisher information of Task 0 in each matrix after Task 0 (squared gradient of an answer's log-likelihood, nats squared per
weight squared, not normalised), and how many weights it has. layer, component: as in WEIGHTS."""
