"""How far predictions move from those of theta*."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.metrics import METRIC
from forgetting.schemas.points import POINT

DRIFT = pa.schema(POINT + METRIC)
"""How far a checkpoint's predictions are from those of theta* on questions of a split. metric: kl_from_theta_star = KL(theta* ||
checkpoint), kl_to_theta_star = KL(checkpoint || theta*), nats, means over answer tokens; n: answer tokens; low, high: 95 % over units."""
