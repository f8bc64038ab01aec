"""Task 1 methods: one file each, one interface (`base.Method`). The method called `name` is the class `METHOD` of `methods/name.py`."""

from __future__ import annotations

from importlib import import_module

from forgetting.config.knobs import AnyArm
from forgetting.methods.base import Method


def build_method(arm: AnyArm) -> Method:
    """The method that an entry of `config/methods.yaml` names, with its knobs."""
    method: type[Method] = import_module(f"forgetting.methods.{arm.method}").METHOD
    return method(arm)
