"""Answers of models of which a part has the weights of another checkpoint."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.points import POINT

GRAFT = pa.schema(
    POINT
    + [("operation", pa.string()), ("part", pa.string()), ("layer", pa.int32()), ("amount", pa.float64())]
    + [("update_share", pa.float64()), ("split", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int64())]
)
"""What a checkpoint of Task 1 (point: trough, matched, end) answers after an operation on its update since theta*, the model before Task 1:

none: nothing is done; start: theta* itself. back: one part is put back to theta*; back_random: as back, but
of weights drawn at random, that hold as much of the squared update (in expectation): from all blocks, where the
part is some of them, else from the whole model.
forward: only that part of theta* gets the update. edit: the leading `amount` directions of the update of
every matrix are taken away; edit_random: random directions of the same length in their place. interpolation:
`amount` (a share) of the whole update is taken away. floor: nothing is done to the floor, the checkpoint of the
same Task 1 without Task 0 at the same point; into_floor: the floor, but one part is that of theta*; of_floor: the
checkpoint, but one part is that of the floor. untaught: nothing is done to the pretrained model; pretrained,
pretrained_into_floor: the checkpoint, or the floor, but one part is that of the pretrained model; into_pretrained: the
pretrained model, but one part is that of theta*.

part: embedding (of the input), block (attention, MLP and their biases and norms), attention, mlp, norms (all
of them), output_embedding; of several blocks blocks (all), blocks_up_to (`layer`), blocks_from (`layer`),
query_key, value_output, mlps; all. layer: 0 the embedding, 1 to L the blocks, L + 1 the output embedding, -1
for several. update_share: squared distance between the weights before and after the operation, as a share of
the squared update (of what is taken from another model: of the squared distance from that one); parts that did not change have no rows.
metric: exact_match of task0_test and task1 with a 95 % interval over `n` questions clustered by unit; of
task0_test, after none, back and forward, also common_share, of the squared change of the residual stream since
theta* (see COMMON_SHIFT; grouping kind_position), NaN where nothing there changed. After back, edit and their
random controls, where the checkpoint has a Task 1 to lose, also straight, the exact match of task0_test that the
straight way back has with as much of Task 1, and beyond_straight, that of the operation less it, paired by unit."""
