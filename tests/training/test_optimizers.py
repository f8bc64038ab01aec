"""The optimizers beside AdamW: their updates by hand, which weights each has, and a saved state that goes on as if nothing had been."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from tests import sections
from torch import nn

from forgetting.training.optimizer import Together, build_optimizer, set_learning_rate


def named() -> dict[str, nn.Parameter]:
    """Two matrices of a block, an embedding and a vector."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"block.in": (6, 4), "block.out": (4, 6), "embedding": (9, 4), "block.bias": (4,)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def give_gradients(parameters: dict[str, nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def built(kind: str, parameters: dict[str, nn.Parameter], **said: float) -> torch.optim.Optimizer:
    config = sections.optimizer(0.1, kind=kind, **{"weight_decay": 0.5} | said)
    return build_optimizer(parameters.items(), config, lambda name: name.startswith("block"))


def test_gradient_descent_with_momentum_by_hand() -> None:
    parameters = named()
    before = {name: value.detach().clone() for name, value in parameters.items()}
    optimizer, velocity = built("sgd", parameters), {name: torch.zeros_like(value) for name, value in before.items()}
    for seed in range(3):
        give_gradients(parameters, seed)
        for name, value in before.items():
            decay = 0.5 if value.ndim == 2 else 0.0
            velocity[name] = 0.9 * velocity[name] + parameters[name].grad + decay * value
            before[name] = value - 0.1 * velocity[name]
        optimizer.step()
    for name, value in before.items():
        torch.testing.assert_close(parameters[name].detach(), value)


def test_muon_has_the_matrices_of_blocks_and_adamw_the_rest() -> None:
    parameters = named()
    optimizer = built("muon", parameters)
    assert isinstance(optimizer, Together)
    owned = {type(part): {id(each) for group in part.param_groups for each in group["params"]} for part in optimizer.parts}
    names = {kind: {name for name, value in parameters.items() if id(value) in ids} for kind, ids in owned.items()}
    assert names == {torch.optim.Muon: {"block.in", "block.out"}, torch.optim.AdamW: {"embedding", "block.bias"}}
    assert {group["peak"] for group in optimizer.param_groups} == {0.1}


def test_a_step_of_muon_has_singular_values_alike_and_the_length_of_one_of_adamw() -> None:
    """Orthogonalised (to the accuracy of five iterations), then scaled to a root mean square of 0.2 times the rate."""
    parameters = named()
    before = parameters["block.in"].detach().clone()
    optimizer = built("muon", parameters, weight_decay=0.0)
    give_gradients(parameters, 0)
    optimizer.step()
    moved = before - parameters["block.in"].detach()
    values = torch.linalg.svdvals(moved)
    assert values.max() / values.min() < 2
    assert moved.square().mean().sqrt() == pytest.approx(0.2 * 0.1 * (4 / 24 * 6) ** 0.5, rel=0.25)


@pytest.mark.parametrize("kind", ["adamw", "sgd", "muon"])
def test_a_saved_state_goes_on_bit_for_bit(kind: str) -> None:
    parameters = named()
    optimizer = built(kind, parameters)
    for seed in range(3):
        give_gradients(parameters, seed)
        optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = {name: nn.Parameter(value.detach().clone()) for name, value in parameters.items()}
    resumed = built(kind, again)
    resumed.load_state_dict(copy.deepcopy(torch.load(file, weights_only=True)))
    for each, own in ((optimizer, parameters), (resumed, again)):
        set_learning_rate(each, 0.5)
        give_gradients(own, 7)
        each.step()
        each.zero_grad()
    assert all(torch.equal(parameters[name], again[name]) for name in parameters)
    assert all(parameter.grad is None for parameter in again.values())
