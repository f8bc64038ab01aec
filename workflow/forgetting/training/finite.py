"""Notices a loss that is no longer a number before anything of it is saved, without waiting for the device at each step."""

from __future__ import annotations

import torch
from torch import Tensor


class Finite:
    """Whether loss and gradient were finite at every step so far; kept on their device and read only when asked.

    The gradient tells of the whole batch, where processes share it, and of an overflow that the loss does not show.
    """

    def __init__(self, device: torch.device) -> None:
        self._so_far = torch.ones((), dtype=torch.bool, device=device)

    def add(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take the loss () and the norm () of the gradient of one more step."""
        self._so_far.logical_and_(torch.isfinite(loss.detach() + gradient_norm))

    def so_far(self) -> bool:
        """The answer; waits for the device."""
        return bool(self._so_far)
