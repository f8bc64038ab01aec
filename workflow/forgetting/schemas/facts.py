"""Each question at each evaluation of a training job."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.metrics import RUN

FACT = [
    ("person", pa.int32()),
    ("group", pa.string()),
    ("attribute", pa.string()),
    ("exact_match", pa.bool_()),
    ("first_token_hard", pa.bool_()),
    ("first_token_soft", pa.float32()),
    ("answer_nll", pa.float32()),
]
FACTS = pa.schema(RUN + FACT)
"""One question at one evaluation: whether and how well the model answered it."""
