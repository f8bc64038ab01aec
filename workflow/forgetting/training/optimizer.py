"""AdamW, weight decay on matrices only, and the learning-rate schedule."""

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


def build_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], config: Optimizer) -> torch.optim.Optimizer:
    """AdamW over the given parameters only.

    Weight decay applies to matrices, not to biases and norms. Each parameter group remembers its peak learning rate as `peak`.
    """
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for _, parameter in named_parameters:
        (vectors if parameter.ndim < 2 else matrices).append(parameter)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    betas = (config.beta1, config.beta2)
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Let every parameter group learn at this fraction of its peak."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(factor * group["peak"])
        else:
            group["lr"] = factor * group["peak"]
