"""Plain sequential fine-tuning: cross-entropy on Task 1, nothing else."""

from __future__ import annotations

from typing import Literal

from forgetting.config.knobs import Arm

EXAMPLES = {"seq": {"method": "seq"}, "seq-muon": {"method": "seq", "optimizer": "muon"}}
"""Entries that the tests of every method try."""


class Knobs(Arm):
    method: Literal["seq"]

    @property
    def uses_task0(self) -> bool:
        return False
