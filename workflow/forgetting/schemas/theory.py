"""The propositions of the paper, measured and judged."""

from __future__ import annotations

import pyarrow as pa

SPLIT = "task0_test"
STREAM = "stream"
"""Component of the rows on the residual stream."""
THEORY = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("after", pa.string()), ("split", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "chance", "chance_low", "chance_high")]
)
"""One number on what Task 1 up to the checkpoint `after` (task1_early, task1_matched, task1_end) did to one layer since the end of Task 0,
at the last prompt token. component: a matrix of block `layer` (1 is the first; components as in WEIGHTS), or stream, the residual stream
after block `layer` (0: the embedding). Metrics of a matrix: update_norm; of one that writes to the stream also written_along,
written_along_first (shares of the squared norm of its update, along the leading principal components of the stream there, or the first
one). Of the stream: mean_shift_along, single_shifts_along, the same with _first behind, own_mean_shift_along, own_single_shifts_along
(shares of a squared length); shift_norm, own_norm, inherited_norm, shift_bound, predicted_if_frozen (lengths; `layer` of the last one is
the number of frozen layers); relative_shift_norm (standard deviations); relative_depth_correlation (filed under the last layer). A matrix
that was not updated has no rows, a stream that did not move no shares. low, high: 95 %, over units. chance, chance_low, chance_high: a
random update of the same singular values, mean and middle 95 %. NaN where none applies."""
THEORY_VERDICTS = pa.schema(
    [("scale", pa.string()), ("arm", pa.string()), ("after", pa.string()), ("proposition", pa.int32()), ("asks", pa.string())]
    + [("statistic", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "reference")]
    + [("verdict", pa.string())]
)
"""What is to be said of a proposition of the paper (1, 2, 3), one row an arm, checkpoint and statistic; `arm` is freeze for what is fitted
to all freeze arms. asks: which of its three questions, `premise met?`, `does it hold?`, `more than chance?`. verdict: the answer, by where
low and high lie to `reference`; of one run with `in this run: ` in front; `prediction` where nothing is expected. low, high: 95 %, over
seeds, or of one seed over units; NaN where the number is one of weights, which no units are asked for."""
