"""Attention within documents that stand one after the other in a single row, with no padding between them.

Registered with transformers under a name of its own, so that its models run on packed rows as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

NAME = "within_documents"
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}
"""What tells flash attention that several heads of the query share a key; torch 2.11 takes fewer keys untold, and refuses the word."""


def attend_within_documents(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    bounds: Tensor,
    longest: int,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention of query, key, value (1, heads, n, d) within each document; the outputs are (1, n, heads, d).

    Of key and value there may be fewer heads, each for as many heads of the query in a row. sliding_window: a token sees so many tokens,
    itself among them; None: all.
    scaling: of the products; None, as of GPT-2 in transformers 5.0: 1 / sqrt(d).
    bounds (documents + 1,), int32: where each document begins, and n; a document may be empty. longest: no document has more tokens.
    On a GPU by flash attention for documents of different lengths, which needs half precision; elsewhere with a mask.
    """
    grouped = key.shape[1] != query.shape[1]
    if value.is_cuda:
        # The rotary positions are added in float32, and flash attention wants all three alike.
        queries, keys, values = (each[0].transpose(0, 1).to(value.dtype) for each in (query, key, value))
        behind = -1 if sliding_window is None else sliding_window - 1
        options: dict[str, Any] = {"scale": scaling, "window_size": (behind, 0)} | (GROUPED if grouped else {})
        attended = varlen_attn(queries, keys, values, bounds, bounds, longest, longest, **options)
        assert isinstance(attended, Tensor)  # no more was asked for
        return attended[None], None
    mask = document_mask(bounds, query.shape[2])
    if sliding_window is not None:
        mask = mask.triu(1 - sliding_window)
    others = key.to(query.dtype), value.to(query.dtype)
    attended = scaled_dot_product_attention(query, *others, attn_mask=mask, scale=scaling, enable_gqa=grouped)
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
