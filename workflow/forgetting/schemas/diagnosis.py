"""Tables of a diagnosis (docs/diagnose.md)."""

from __future__ import annotations

import pyarrow as pa

ROWS = pa.schema(
    [("row", pa.int64()), ("unit_name", pa.string()), ("choices", pa.list_(pa.string()))]
    + [("choice_ids", pa.list_(pa.list_(pa.int32()))), ("wording_ids", pa.list_(pa.list_(pa.int32())))]
)
"""What ITEMS does not hold of each question, in the same order. row: its place in the user's file, from 1; of choices and other wordings
there may be none."""
PROBED = pa.schema(
    [("start", pa.string()), ("training", pa.string()), ("units", pa.int32()), ("rate", pa.float64()), ("seed", pa.int32())]
    + [("step", pa.int32()), ("question", pa.int32()), ("unit", pa.int32()), ("split", pa.string()), ("kind", pa.string())]
    + [("score", pa.float64()), ("exact_match", pa.bool_()), ("answer_nll", pa.float32())]
)
"""One question at one evaluation of a probe. start: before, after, base or random; training:
right, shuffled, wordings or dose; units: how many it trains on; rate: multiple of the learning rate; question: its place in ITEMS; score:
the measure of the diagnosis, from 0 to 1."""
SCORED = pa.schema(
    [("start", pa.string()), ("state", pa.string()), ("rate", pa.float64()), ("split", pa.string()), ("measure", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int64())]
)
"""One further number of a model. state: given, or recovered with the right answers (at a rate). measure: a measure of the answers,
`perplexity` of the text, `known_wordings` (the share of questions that are right in two thirds of their wordings), `same_alone` (the
share of a few that are scored the same alone as in a batch), or of questions that old and new examples answer otherwise
`old_value_log_probability`, `new_value_log_probability` (nats, of the whole answer) and `old_value_likelier` (a share)."""
REMEDIES = pa.schema(
    [("remedy", pa.string()), ("part", pa.string()), ("amount", pa.float64()), ("control", pa.bool_())]
    + [("split", pa.string()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int64())]
)
"""What a change of the weights without training does. remedy: none, interpolation (amount: share of the update taken back), edit (amount:
leading directions of each matrix's update taken away; control: random ones of the same length in their place), common_shift (amount:
training questions from which the shift of the answers' states was computed, which is taken away; control as before)."""
EFFECTS = pa.schema(
    [
        ("what", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("units", pa.int64()),
        ("n", pa.int64()),
    ]
    + [("words", pa.string())]
)
"""The numbers that the verdict follows from, with their intervals over units."""
