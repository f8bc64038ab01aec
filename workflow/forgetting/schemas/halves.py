"""Of which half of the values each unit is."""

from __future__ import annotations

import pyarrow as pa

HALVES_OF_UNITS = pa.schema([("seed", pa.int32()), ("unit", pa.int32()), ("split", pa.string()), ("half", pa.string())])
"""half: A or B for units that were pretrained on values of one half alone, all for the others (and for every unit where the study does not
halve its values)."""
