"""Losses on a plane in weight space, and where the checkpoints lie on it."""

from __future__ import annotations

import pyarrow as pa

LANDSCAPE = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string())]
    + [("kind", pa.string()), ("step", pa.int32()), ("epochs", pa.float64()), ("alpha", pa.float64()), ("beta", pa.float64())]
    + [("task0_loss", pa.float64()), ("task1_loss", pa.float64()), ("mean_loss", pa.float64())]
    + [("task0_error", pa.float64()), ("task1_error", pa.float64()), ("in_plane", pa.float64())]
)
"""`kind` is grid (a point of the plane: losses are set), trajectory (the checkpoint of Task 1 at `step`, projected onto the plane), or
recovery_trough and recovery_end (weights after `epochs` of recovery from the checkpoint at `step`; 0 epochs: that checkpoint). `in_plane`
is the share of the norm of a displacement that lies in the plane, NaN where there is none: from the origin, in the recovery kinds from the
checkpoint recovered from. Of a grid point `step` is -1 and `epochs` NaN; losses of
the other kinds are NaN. alpha, beta: L2 distance from the origin (orthogonal axes) or units of the two displacements (axes: reference).
Losses: nats per answer token; `_error`: their standard error, as far as it comes from the choice of units."""
