"""What the recovery probes and their controls reach."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.facts import FACT
from forgetting.schemas.metrics import METRIC, RUN

_START = [("start", pa.string()), ("training", pa.string()), ("units", pa.int32()), ("checkpoint", pa.int32()), ("epochs", pa.float64())]
RECOVERY = pa.schema(RUN + _START + METRIC)
"""As METRICS; `start` is task1, pretrained, random, or a stage before Task 1 (pretraining, task0), `checkpoint` the step of the stage that
is recovered from, `step` the recovery steps taken, and `epochs` the same in passes over `task0_train`, whatever is trained on. training:
right (the questions of `task0_train`: the probe itself), or a control of as many steps: shuffled (their answers shuffled between units),
reworded (asked in other words), dose (of some of these units), fresh (the questions of `task0_val`, which no stage trained on), unseen
(questions about units that no stage saw), text (biographies of those). units: how many units that is. Of the whole job, split train:
`start` and `training` are all, `units` 0, `checkpoint` -1, `step` 0, `epochs` those of all its probes."""
RECOVERY_FACTS = pa.schema(RUN + _START + FACT)
