"""The residual stream before and after training."""

from __future__ import annotations

import pyarrow as pa

FEATURES = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("before", pa.string()), ("after", pa.string())]
    + [("layer", pa.int32()), ("split", pa.string()), ("kind", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("chance", pa.float64())]
)
"""One number on the residual stream of one layer (0 = embedding output, i = after block i) at the last prompt token. before, after: the
checkpoints pretrained, task0, task1_early (step 150), task1_matched (early stop) and task1_end. metric of two checkpoints: relative_shift,
relative_shift_along, relative_shift_across (in standard deviations), shift_along_leading (share), subspace_angle (degrees), cka. Of one
(before = after): lens_lead, lens_vocabulary_lead (shares), lens_rank, lens_vocabulary_rank (1 is the top),
lens_depth (layers; filed under the last one). kind: `all` pools the questions. value is NaN where the states do not vary (layer 0 when
every prompt ends in the same token); low and high (95 %, over units) and chance are NaN where none applies."""
FEATURE_POINTS = pa.schema(
    [
        ("scale", pa.string()),
        ("seed", pa.int32()),
        ("arm", pa.string()),
        ("step", pa.int32()),
        ("layer", pa.int32()),
        ("split", pa.string()),
    ]
    + [("kind", pa.string()), ("unit", pa.int32()), ("leading_component", pa.float64()), ("mean_shift", pa.float64())]
)
"""Coordinates of single questions in the plane of the leading principal component (of the states after Task 0) and the mean shift."""
