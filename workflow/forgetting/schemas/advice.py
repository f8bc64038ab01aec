"""Tables of an advice (docs/advise.md)."""

from __future__ import annotations

import pyarrow as pa

TRIED = pa.schema(
    [("method", pa.string()), ("rate", pa.float64()), ("seed", pa.int32()), ("step", pa.int32()), ("question", pa.int32())]
    + [
        ("unit", pa.int32()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("score", pa.float64()),
        ("exact_match", pa.bool_()),
        ("answer_nll", pa.float32()),
    ]
)
"""One question at one evaluation of a trial. method: its name in the advice; rate: its multiple of the rate, see `advise.trial.rates`;
question: its place in ITEMS; score: the measure of the advice, from 0 to 1."""
TRIALS = pa.schema(
    [("method", pa.string()), ("rate", pa.float64()), ("seed", pa.int32()), ("learning_rate", pa.float64()), ("words", pa.string())]
    + [("seconds", pa.float64()), ("rows", pa.int64())]
    + [("weights", pa.int64()), ("trained", pa.int64()), ("stored", pa.int64()), ("same_alone", pa.float64())]
)
"""One trial. learning_rate: of the optimizer; words: the method with its knobs, for a reader; seconds: of training; rows: examples
trained on; weights, trained: how many the model has, and how many of them (or of adapters) moved; stored: old examples kept; same_alone:
share of a few questions that the model scores the same alone as in a batch, before training."""
METHODS = pa.schema(
    [("method", pa.string()), ("rate", pa.float64()), ("learning_rate", pa.float64()), ("words", pa.string())]
    + [("learned", pa.bool_()), ("judged", pa.bool_()), ("taken", pa.bool_()), ("stop", pa.float64())]
    + [(f"{name}{end}", pa.float64()) for name in ("old", "new", "gain", "behind") for end in ("", "_low", "_high")]
    + [("chosen_by", pa.float64()), ("old_end", pa.float64()), ("new_end", pa.float64())]
    + [("seconds", pa.float64()), ("trained_share", pa.float64()), ("stored", pa.float64())]
)
"""One method at one rate, at its stopping point. judged: whether the method is judged at this rate; stop: the step, mean over seeds, chosen
on validation units; old, new: accuracies on the reported units (of one that did not learn: at its end); gain: old minus that of plain
fine-tuning, behind: old of the best other method minus this one, each at the rate at which it is judged; chosen_by: old on the validation
units; old_end, new_end: at the last step. Intervals are 95 %, over units and, of several, seeds."""
CURVES = pa.schema(
    [("method", pa.string()), ("rate", pa.float64()), ("part", pa.string()), ("step", pa.int32())]
    + [(f"{name}{end}", pa.float64()) for name in ("old", "new") for end in ("", "_low", "_high")]
)
"""Accuracies by step. part: val or test, the units to choose on and those that are reported."""
