"""Task 1 methods: one folder each, one interface (`base.Method`). `METHOD` of `methods/name/method.py` is the class of method `name`."""

from __future__ import annotations

from importlib import import_module

from forgetting.config.knobs import AnyArm
from forgetting.methods.base import Method


def build_method(arm: AnyArm) -> Method:
    """The method that an entry of `config/methods.yaml` names, with its knobs."""
    method: type[Method] = import_module(f"forgetting.methods.{arm.method}.method").METHOD
    return method(arm)
