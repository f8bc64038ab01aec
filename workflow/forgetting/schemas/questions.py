"""The questions about them, as text and tokens."""

from __future__ import annotations

import pyarrow as pa

QUESTIONS = pa.schema(
    [("person", pa.int32()), ("group", pa.string()), ("attribute", pa.string()), ("prompt", pa.string()), ("answer", pa.string())]
    + [("prompt_ids", pa.list_(pa.int32())), ("answer_ids", pa.list_(pa.int32()))]
)
