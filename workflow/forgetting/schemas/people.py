"""The persons of a biography study."""

from __future__ import annotations

import pyarrow as pa

PEOPLE = pa.schema(
    [("person", pa.int32()), ("group", pa.string()), ("full_name", pa.string())]
    + [(name, pa.string()) for name in ("birthday", "birth_city", "university", "major", "company_name", "company_city")]
)
