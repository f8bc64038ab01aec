"""The propositions of the paper, measured and judged."""

from __future__ import annotations

import pyarrow as pa

THEORY = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("after", pa.string()), ("split", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "chance", "chance_low", "chance_high")]
)
"""One number on what Task 1 up to the checkpoint `after` (task1_early, task1_matched, task1_end) did to one layer since the end of Task 0,
at the last prompt token. component: a linear map of block `layer` (1 is the first; components as in WEIGHTS), or stream, the residual
stream after block `layer` (0: the embedding). Metrics of a map, all shares of a squared length: update_on_leading_inputs, input_energy,
mean_shift_along, single_shifts_along. Of the stream: these two shares and own_mean_shift_along, own_single_shifts_along; shift_norm,
own_norm, inherited_norm, shift_bound, bound_if_frozen (lengths; `layer` of the last one is the number of frozen layers);
relative_shift_norm (standard deviations); depth_correlation, relative_depth_correlation (filed under the last layer). A map that was not
updated has no rows, a stream that did not move no shares. low, high: 95 %, over units. chance, chance_low, chance_high: a random
update of the same singular values, mean and middle 95 %. NaN where none applies."""
THEORY_VERDICTS = pa.schema(
    [("scale", pa.string()), ("arm", pa.string()), ("after", pa.string()), ("proposition", pa.int32()), ("statistic", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "chance")]
    + [("supported", pa.string()), ("rule", pa.string())]
)
"""Whether the data support a proposition of the paper (1, 2, 3), one row an arm, checkpoint and statistic; `arm` is freeze for what is
fitted to all freeze arms. supported: yes, no, undecided or not tested, by
`rule`, and of one seed `in this run:` above, below or open. low, high: 95 %, over seeds, or of one seed over layers or units."""
