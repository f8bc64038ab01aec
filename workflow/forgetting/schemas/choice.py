"""Which arm stands for each family of methods."""

from __future__ import annotations

import pyarrow as pa

CHOICE = pa.schema(
    [("scale", pa.string()), ("family", pa.string()), ("arm", pa.string()), ("chosen", pa.bool_()), ("learned", pa.bool_())]
    + [("criterion", pa.float64()), ("reason", pa.string())]
)
"""Every arm of the comparison, one row each; in each family one is chosen, on `task0_val` alone. learned: Task 1 reached the early-stop
accuracy in every seed. criterion: mean over seeds of what the arms of the family were ranked by, which `reason` names."""
