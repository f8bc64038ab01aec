"""Gradients of both tasks against each other."""

from __future__ import annotations

import pyarrow as pa

GRADIENTS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("step", pa.int32())]
    + [("part", pa.string()), ("layer", pa.int32()), ("comparison", pa.string()), ("value", pa.float64()), ("n", pa.int64())]
)
"""Cosine of two gradients at a checkpoint of Task 1 (step 0: the end of Task 0), each of the mean loss of n questions. comparison:
task0_task1 (Task 0 training questions and those of Task 1), task0_shuffled (the latter with the answers of other units: the floor),
task0_halves, task1_halves (other units of the same task: the ceiling). part: all weights, blocks (all of them), embedding, block,
output_embedding; layer: 0 the embedding, 1..L the blocks, L+1 the output embedding, -1 for all and blocks. NaN where a gradient is zero."""
