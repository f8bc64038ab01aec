"""AdamW and Muon, weight decay on matrices only, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from forgetting.config.sections import Optimizer, Schedule


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0) of `steps`, as a fraction of its peak."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    progress = min(1.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps))
    return schedule.final_fraction + (1 - schedule.final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], config: Optimizer) -> list[torch.optim.Optimizer]:
    """Optimizers over the given parameters only: AdamW, and with `name: muon` Muon for the hidden matrices.

    Weight decay applies to matrices, not to biases and norms. Each parameter group remembers its peak learning rate as `peak`.
    """
    hidden, matrices, vectors = [], [], []
    for name, parameter in named_parameters:
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif config.name == "muon" and ".layers." in name:
            hidden.append(parameter)
        else:
            matrices.append(parameter)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        betas = (config.beta1, config.beta2)
        optimizers.append(torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True))
    if hidden:
        optimizers.append(Muon(hidden, config.muon_learning_rate, config.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_learning_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Let every parameter group learn at this fraction of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(factor * group["peak"])
            else:
                group["lr"] = factor * group["peak"]


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz iterations (Jordan et al. 2024), in float32: torch's own works in bfloat16, which is slow on
    processors without it."""

    COEFFICIENTS = (3.4445, -4.7750, 2.0315)
    ITERATIONS = 5

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalise(parameter.grad.lerp(average, group["momentum"]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5)


def orthogonalise(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1 (quintic Newton-Schulz iterations)."""
    a, b, c = Muon.COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(Muon.ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
