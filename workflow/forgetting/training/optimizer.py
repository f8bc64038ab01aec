"""AdamW or another optimizer, weight decay on matrices only, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from forgetting.config.sections import Optimizer, Schedule


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0) of `steps`, as a fraction of its peak."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    progress = min(1.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps))
    return schedule.final_fraction + (1 - schedule.final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(
    named_parameters: Iterable[tuple[str, nn.Parameter]], config: Optimizer, in_block: Callable[[str], bool] = lambda name: False
) -> torch.optim.Optimizer:
    """The optimizer of `config.kind` over the given parameters only; Muon for those matrices that are `in_block`, by name.

    Weight decay applies to matrices, not to biases and norms. Each parameter group remembers its peak learning rate as `peak`.
    """
    inner: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in named_parameters:
        of_muon = config.kind == "muon" and parameter.ndim == 2 and in_block(name)
        (vectors if parameter.ndim < 2 else inner if of_muon else matrices).append(parameter)
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    optimizer: torch.optim.Optimizer
    if config.kind == "sgd":
        optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.beta1)
    else:
        betas = (config.beta1, config.beta2)
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)
    if inner:
        muon = torch.optim.Muon(inner, config.learning_rate, config.weight_decay, adjust_lr_fn="match_rms_adamw")
        optimizer = Together([muon, optimizer])
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


class Together(torch.optim.Optimizer):
    """Several optimizers as one, each of which has parameters of its own."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let the parts work on the groups and the state of this one, which are what is saved."""
        start = 0
        for part in self.parts:
            stop = start + len(part.param_groups)
            part.param_groups, part.state, start = self.param_groups[start:stop], self.state, stop

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Let every parameter group learn at this fraction of its peak."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(factor * group["peak"])
        else:
            group["lr"] = factor * group["peak"]
