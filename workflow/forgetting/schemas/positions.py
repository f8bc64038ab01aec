"""Answer tokens by kind and place."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.metrics import METRIC

POSITIONS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("step", pa.int32()), ("position", pa.int32())]
    + METRIC
    + [("chance", pa.float64())]
)
"""Answer tokens by kind and place, each predicted after the right tokens before it, at each checkpoint of Task 1 (step 0: after
Task 0). position: 0 is the first answer token, -1 the end token of every answer, whatever its place. metric: token_hard, the share of the
n tokens that are the argmax; token_hard_after_right, the same where all earlier tokens of the answer were argmax, too (NaN with n = 0
where there is no such answer); token_soft, mean probability of the right token; first_wrong, the share of the n questions whose first
wrong token is here (over the positions they add up to 1 - exact match). low, high: 95 %, over units. chance: the same share for always
the most frequent token of the training units at that kind and place (token_hard_after_right: on the same tokens as the model; NaN
for token_soft)."""
