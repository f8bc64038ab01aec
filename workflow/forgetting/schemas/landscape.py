"""Losses on a plane in weight space, and where the checkpoints lie on it."""

from __future__ import annotations

import pyarrow as pa

LANDSCAPE = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("kind", pa.string()), ("weights", pa.string())]
    + [("step", pa.int32()), ("epochs", pa.float64()), ("alpha", pa.float64()), ("beta", pa.float64())]
    + [("task0_loss", pa.float64()), ("task1_loss", pa.float64()), ("mean_loss", pa.float64())]
    + [("task0_error", pa.float64()), ("task1_error", pa.float64()), ("in_plane", pa.float64()), ("distance", pa.float64())]
    + [("turn", pa.float64()), ("recovered_length", pa.float64()), ("way_back", pa.float64())]
)
"""`kind` is grid (a point of the plane: losses are set), trajectory (the checkpoint of Task 1 at `step`, projected onto the plane), or
recovery_trough and recovery_end (weights after `epochs` of recovery from the checkpoint at `step`; 0 epochs: that checkpoint). Of a grid
point `step` is -1 and `epochs` NaN; losses of the other kinds are NaN. `weights`: all, or those of the blocks alone, in the plane that
their own three checkpoints span (no such rows where the blocks are frozen); the grid is of all. alpha, beta: L2 distance from the origin
(orthogonal axes) or units of the two displacements (axes: reference). Losses: nats per answer token; `_error`: their standard error, as
far as it comes from the choice of units.

`in_plane`: share of the norm of a displacement that lies in the plane, from the origin, in the recovery kinds from the checkpoint
recovered from; NaN where there is none. distance: L2, from the end of Task 0. turn (trajectory): cosine of the displacement from there to
`step` with the one from `step` to the end of Task 1; NaN at both. recovered_length, way_back (recovery): length of what recovery added,
and its cosine with the way from the checkpoint recovered from to the end of Task 0."""
