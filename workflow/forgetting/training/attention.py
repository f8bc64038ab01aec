"""Attention within documents that stand one after the other in a single row, with no padding between them.

Registered with transformers under a name of its own, so that its GPT-NeoX runs on packed rows as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

NAME = "within_documents"


def attend_within_documents(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    bounds: Tensor,
    longest: int,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention of query, key, value (1, heads, n, d) within each document; the outputs are (1, n, heads, d).

    bounds (documents + 1,), int32: where each document begins, and n; a document may be empty. longest: no document has more tokens.
    On a GPU by flash attention for documents of different lengths, which needs half precision; elsewhere with a mask.
    """
    if value.is_cuda:
        # The rotary positions are added in float32, and flash attention wants all three alike.
        queries, keys, values = (each[0].transpose(0, 1).to(value.dtype) for each in (query, key, value))
        attended = varlen_attn(queries, keys, values, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0))
        assert isinstance(attended, Tensor)  # no more was asked for
        return attended[None], None
    mask = document_mask(bounds, query.shape[2])
    attended = scaled_dot_product_attention(query, key.to(query.dtype), value.to(query.dtype), attn_mask=mask, scale=scaling)
    return attended.transpose(1, 2), None


def document_mask(bounds: Tensor, tokens: int) -> Tensor:
    """(tokens, tokens) bool: True where the token of the row may see that of the column. `bounds` as above."""
    place = torch.arange(tokens, device=bounds.device)
    document = torch.searchsorted(bounds, place, right=True)
    return (document[:, None] == document[None, :]) & (place[:, None] >= place[None, :])


@contextmanager
def within_documents(model: PreTrainedModel) -> Iterator[None]:
    """Within this block the model attends to packed rows; it is called with `bounds` and `longest`."""
    usual = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = usual


AttentionInterface.register(NAME, attend_within_documents)
