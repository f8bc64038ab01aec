"""The state of AdamW as a file, so that one stage can go on with that of the stage before it instead of a fresh one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from forgetting.errors import CheckpointError
from forgetting.tables import atomic, writing

MOMENTS = "optimizer.safetensors"
"""Beside the weights of a model."""
_STATE = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW knows of a parameter: how many updates it had, which corrects the bias of the moments, and both moments."""

Parameters = Sequence[tuple[str, nn.Parameter]]


def save_moments(parameters: Parameters, optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Write the state that AdamW has of its `parameters`, as `<name>.step`, `<name>.exp_avg` and `<name>.exp_avg_sq`."""
    state: dict[str, Tensor] = {}
    for name, parameter in parameters:
        state |= {f"{name}.{key}": value.contiguous() for key, value in optimizer.state.get(parameter, {}).items() if key in _STATE}
    with atomic(file) as part, writing(file, SafetensorError):
        safetensors.torch.save_file(state, part)


def carry_moments(parameters: Parameters, optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Give AdamW the state in `file` of each of its `parameters`, and nothing else: learning rate and decay are those of this stage.
    Raises CheckpointError that names the file when it is missing, damaged or of another model."""
    try:
        saved = safetensors.torch.load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); delete it and run again") from None
    for name, parameter in parameters:
        state = {key: saved.get(f"{name}.{key}") for key in _STATE}
        shapes = [None if value is None else value.shape for value in state.values()]
        if shapes != [torch.Size([]), parameter.shape, parameter.shape]:
            raise CheckpointError(f"{file}: has no state of {name} in its shape {tuple(parameter.shape)}; delete it and run again")
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items() if value is not None}
