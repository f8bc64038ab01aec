"""What the tests on a GPU share. Each runs on the CPU, too, in fewer steps, so that the tests themselves are tested where there is no GPU.

On a machine with one: pytest -m gpu
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from forgetting.training import attention, loop
from forgetting.training.attention import document_mask
from forgetting.training.step import SAMPLE, FastStep, PlainStep

on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")]
Take = Callable[..., None]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=on_gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """Lets `train` take the plain or the fast step, whatever the device and the precision; compiled only where that is asked for."""
    compiler = torch.compile

    def choose(fast: bool, compiled: bool = False, recorded: bool = True) -> None:
        def build(model, parameters, batches, config, precision, hooks):
            if not fast or config.kind != "adamw":
                return PlainStep(model, parameters, config, precision, hooks)
            made = FastStep(model, parameters, config, precision, hooks, [batches.batch(number) for number in range(SAMPLE)])
            made.recorded = made.recorded and recorded
            return made

        monkeypatch.setattr(loop, "build_step", build)
        monkeypatch.setattr(torch, "compile", compiler if compiled else lambda module, **_: module)

    return choose


@pytest.fixture
def exact_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention within documents in single precision on a GPU, too, where flash attention has half precision only."""

    def by_mask(query, key, value, bounds, _, longest, __, *, scale: float, window_size: tuple[int, int]) -> Tensor:
        rows = (each.transpose(0, 1) for each in (query, key, value))
        return scaled_dot_product_attention(*rows, attn_mask=document_mask(bounds, len(query)), scale=scale).transpose(0, 1)

    monkeypatch.setattr(attention, "varlen_attn", by_mask)
