"""Updates of each matrix against each other."""

from __future__ import annotations

import pyarrow as pa

WEIGHTS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("former", pa.string()), ("latter", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "chance", "chance_low", "chance_high", "other_layers")]
)
"""One number on the updates `former` and `latter` of one matrix. Updates: pretraining (its late part),
pretraining_earlier (the part before), task0, task1 (whole), task1_early (to step 150), task1_late (from there
to the end). layer: 0 the embedding, 1 to L the blocks, L + 1 the output embedding. component: embedding, query, key, value,
attention_output, mlp_gate (of a gated MLP), mlp_input, mlp_output, output_embedding. metric: mean_angle,
weighted_angle, principal_angle (degrees); cosine; relative_norm, stable_rank, rank (of the latter),
former_rank. chance: the mean for a random latter update, of the same singular values and with random left
singular vectors; chance_low, chance_high: its middle 95 %. other_layers: the mean of value - chance with the
former update of the same component in every other layer. NaN where none applies."""
