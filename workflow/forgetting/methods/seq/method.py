"""Plain sequential fine-tuning."""

from __future__ import annotations

from forgetting.methods.base import Method


class Sequential(Method):
    """Cross-entropy on Task 1, nothing else."""


METHOD = Sequential
