"""Task 1 methods: one file each, one interface (`base.Method`), one registry."""

from __future__ import annotations

from forgetting.config import Arm
from forgetting.methods.base import Method, Sequential
from forgetting.methods.freeze import Freeze
from forgetting.methods.replay import Replay

METHODS: dict[str, type[Method]] = {"seq": Sequential, "replay": Replay, "freeze": Freeze}


def build_method(arm: Arm, seed: int) -> Method:
    """The method that an entry of `config/methods.yaml` names, with its knobs."""
    return METHODS[arm.method](arm, seed)
