"""Each question at each evaluation of a training job."""

from __future__ import annotations

import pyarrow as pa

from forgetting.intervals import Measures
from forgetting.schemas.metrics import RUN

EXACT = Measures(accuracy="exact_match", proportions=("exact_match", "first_token_hard"), means=("first_token_soft", "answer_nll"))
"""What teacher-forced scoring measures (docs/definitions.md)."""
ACCURACY = EXACT.accuracy
"""The accuracy that stages, analysis and figures speak of."""
FACT = [
    *[("unit", pa.int32()), ("split", pa.string()), ("kind", pa.string())],
    *[(name, pa.bool_()) for name in EXACT.proportions],
    *[(name, pa.float32()) for name in EXACT.means],
]
FACTS = pa.schema(RUN + FACT)
"""One question at one evaluation: whether and how well the model answered it."""
