"""Columns of the views that look at a few points of an arm."""

from __future__ import annotations

import pyarrow as pa

POINT = [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("point", pa.string()), ("step", pa.int32())]
