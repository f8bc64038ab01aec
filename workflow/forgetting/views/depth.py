"""How the shift of the residual stream builds up with depth, and how much of it each block adds (docs/views.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.model.anatomy import Anatomy
from forgetting.schemas.theory import STREAM
from forgetting.views.alignment import alignment, row_directions
from forgetting.views.features import recorded_outputs
from forgetting.views.measured import Measured, is_constant, unit_means, with_interval

Row = tuple[int, str, str, Measured]
"""Layer, component, metric, number."""


@contextmanager
def _given_inputs(model: PreTrainedModel, stream: list[Tensor]) -> Iterator[None]:
    """Every block i reads `stream[i - 1]` in place of what the block below it puts out."""
    handles = [
        block.register_forward_pre_hook(lambda _, given, state=state: (state, *given[1:]))
        for block, state in zip(Anatomy(model.config).blocks(model), stream, strict=False)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def stream_shifts(before: PreTrainedModel, after: PreTrainedModel, questions: Items, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """(states, shift, own), each (layers + 1, n, d) on the CPU: the residual stream before, its whole shift, and each layer's own
    part of it, which is what block i after the update makes of the stream before the update, less what it made of it before.

    The full sequences are in memory for one batch only.
    """
    device = next(before.parameters()).device
    shape = (Anatomy(before.config).layers + 1, len(questions), before.config.hidden_size)
    states, shift, own = (torch.empty(shape, dtype=before.dtype) for _ in range(3))
    for rows in torch.arange(len(questions)).split(batch_size):
        last = questions.prompt_length[rows] - 1
        ids = questions.ids[rows, : int(last.max()) + 1].to(device)
        with recorded_outputs(before) as old:
            before.base_model(input_ids=ids, use_cache=False)
        with recorded_outputs(after) as new:
            after.base_model(input_ids=ids, use_cache=False)
        with recorded_outputs(after) as replayed, _given_inputs(after, old):  # in this order: see recorded_outputs
            after.base_model(input_ids=ids, use_cache=False)
        old_last, new_last, replayed_last = (
            torch.stack([layer[torch.arange(len(rows)), last] for layer in stack]).cpu() for stack in (old, new, replayed)
        )
        states[:, rows], shift[:, rows], own[:, rows] = old_last, new_last - old_last, replayed_last - old_last
    return states, shift, own


def measure_stream(states: Tensor, shift: Tensor, own: Tensor, components: int, units: NDArray[np.integer]) -> list[Row]:
    """Rows on the residual stream, from the results of `stream_shifts`.

    shift_norm: root mean square length of the shift over the questions. relative_shift_norm: over the root mean squared deviation of the
    states before. mean_shift_along, single_shifts_along: see `alignment`, with the leading components of the states before; with
    `_first` behind: with the first of them; own_...: of the layer's own part. own_norm, inherited_norm: root mean square lengths of the
    own part and of the rest, which the layers below passed on. relative_depth_correlation: Spearman correlation of the relative length of
    a question's shift with the layer, from layer 1 on, mean over the questions; filed under the last layer, chance 0.
    shift_bound and predicted_if_frozen: see `shift_bounds`.
    """
    rows: list[Row] = []
    norms, spreads = shift.double().norm(dim=2), [(row.double() - row.double().mean(0)).square().sum(1).mean().sqrt() for row in states]
    relative = norms / torch.stack(spreads)[:, None]
    for layer, (before, whole, part) in enumerate(zip(states.double(), shift.double(), own.double(), strict=True)):
        length = unit_means(norms[layer].square(), units).sqrt()
        rows.append((layer, STREAM, "shift_norm", with_interval(length)))
        rows += [(layer, STREAM, name, Measured(_size(rest))) for name, rest in (("own_norm", part), ("inherited_norm", whole - part))]
        if is_constant(before):
            continue
        rows.append((layer, STREAM, "relative_shift_norm", with_interval(length / spreads[layer])))
        leading = row_directions(before - before.mean(0), components)
        rows += [(layer, STREAM, metric, numbers) for metric, numbers in alignment(whole, leading, units).items()]
        rows += [(layer, STREAM, f"{metric}_first", numbers) for metric, numbers in alignment(whole, leading[:, :1], units).items()]
        rows += [(layer, STREAM, f"own_{metric}", numbers) for metric, numbers in alignment(part, leading, units).items()]
    found = depth_correlations(relative[1:])
    if (moved := ~found.isnan().numpy()).any():
        correlation = with_interval(unit_means(found[moved], units[moved]), chance=0.0)
        rows.append((len(states) - 1, STREAM, "relative_depth_correlation", correlation))
    bounds, predicted = shift_bounds(
        [_size(layer) for layer in shift], [_size(layer) for layer in own], [_size(s - o) for s, o in zip(shift, own, strict=True)]
    )
    rows += [(layer, STREAM, "shift_bound", Measured(bound)) for layer, bound in enumerate(bounds)]
    rows += [(frozen, STREAM, "predicted_if_frozen", Measured(length)) for frozen, length in enumerate(predicted)]
    return rows


def _size(vectors: Tensor) -> float:
    """Root mean square length."""
    return float(vectors.double().square().sum(-1).mean().sqrt())


def depth_correlations(lengths: Tensor) -> Tensor:
    """Spearman's rank correlation of each column of `lengths` (layers, n) with the row number, (n,); NaN where a column does not vary."""
    ranks = torch.from_numpy(rankdata(lengths.numpy(), axis=0))
    depth = torch.arange(len(ranks), dtype=torch.float64)
    centred, depth = ranks - ranks.mean(0), depth - depth.mean()
    scale = centred.norm(dim=0) * depth.norm()
    return torch.where(scale > 0, (depth @ centred) / scale, torch.nan)


def shift_bounds(shift: list[float], own: list[float], inherited: list[float]) -> tuple[list[float], list[float]]:
    """(bound by layer, prediction for the last layer by number n of frozen bottom layers), from sizes by layer, 0 first.

    A layer's shift is its own part plus what it makes of the shift below: |s_i| <= g_i |s_(i-1)| + |o_i|, with the gain g_i = |inherited_i|
    / |s_(i-1)| as measured. So b_i = g_i b_(i-1) + |o_i|, b_0 = |o_0|, bounds |s_i|; it exceeds it as far as the parts do not point the
    same way. Freezing the embedding and the bottom n layers sets o_0 ... o_n to zero; what is left of b is a prediction for another run and
    no bound of it, since it assumes that the other layers would move as they did.
    """
    gains = [0.0] + [passed / below if below else 0.0 for passed, below in zip(inherited[1:], shift[:-1], strict=True)]

    def bounds(first: int) -> list[float]:
        result: list[float] = []
        for layer, (gain, part) in enumerate(zip(gains, own, strict=True)):
            result.append(gain * (result[-1] if result else 0.0) + (part if layer >= first else 0.0))
        return result

    return bounds(0), [bounds(frozen + 1)[-1] for frozen in range(len(own))]
