"""Freezing the input embedding and the bottom layers, the method that the paper proposes."""

from __future__ import annotations

from forgetting.methods.base import Method


class Freeze(Method):
    """The input embedding and the bottom `layers` layers leave the optimizer; 0 means the embedding only.

    Layers are compared as numbers: the reference compares substrings, so that its "layer 1" also freezes 10 and 11 (science §7).
    """

    def trainable(self, name: str) -> bool:
        assert self.arm.layers is not None
        parts = name.split(".")
        if parts[:2] == ["gpt_neox", "layers"]:
            return int(parts[2]) >= self.arm.layers
        return parts[:2] != ["gpt_neox", "embed_in"]
