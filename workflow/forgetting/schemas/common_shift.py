"""The change that all answers share, and a repair by its removal."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.points import POINT

COMMON_SHIFT = pa.schema(
    POINT
    + [("kind", pa.string()), ("space", pa.string()), ("grouping", pa.string()), ("removed", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]
    + [("chance", pa.float64()), ("chance_low", pa.float64()), ("chance_high", pa.float64())]
)
"""How `task0_test` answers change from the model after Task 0 to a Task 1 checkpoint. point: early (step 150), matched, end. space: logits
(centred over the vocabulary) or residual_stream (before the final norm). grouping: the common part is a mean by kind and position in
the answer (kind_position) or over all answer tokens (one_shift), of other units in either case. removed: nothing (the checkpoint
as it is), everything (theta*; in the residual stream its states, read by the checkpoint's head), common, rest. metric: exact_match and
first_token_hard after the removal; restored_share, the part of the exact match lost since theta* that comes back with the common part
removed; common_share, of the squared change; common_share_among_values (logits, kind_position), the same at first answer tokens among
the first tokens of the kind's values alone; squared_change, its mean an answer token (squared logits summed over the vocabulary, or
squared L2 length). low, high: 95 % over units. chance (of the common shares): mean and 95 % range when each unit's change has a random
sign; NaN where none applies."""
COMMON_SHIFT_REPAIR = pa.schema(
    POINT
    + [("kind", pa.string()), ("space", pa.string()), ("grouping", pa.string()), ("counted", pa.string()), ("known", pa.int32())]
    + [("metric", pa.string()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("draws", pa.int32())]
)
"""`task0_test` answers after subtracting the mean change of `known` facts or units (`counted`; a unit brings all six facts) of
`task0_train`, or random vectors as long as that of `known` units (`counted` random). value: mean over `draws` random choices of them; low,
high: 95 % for a single choice and resampled units. Other columns as in COMMON_SHIFT. RECOVERY has the recovery by training under the same
seed, arm, kind and metric, at checkpoint = step (start task1, epochs 1, split task0_test)."""
