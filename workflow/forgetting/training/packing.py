"""Batches without padding and of constant shape, as compiled code and CUDA graphs need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from math import ceil
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from forgetting.training.batches import Batch

ROOM = 2
"""A capacity is above the largest of the batches looked at by this many times what that is above their mean."""
MULTIPLE = (128, 64, 16, 128)
"""What each number of a capacity is a multiple of: matrix products and attention work in tiles."""


class Packed(NamedTuple):
    """The tokens of a batch in one row, document after document.

    ids, places (1, n): tokens, and the place of each in its document. bounds (documents + 1,), int32: where each document begins, and n.
    predicting, target, share (m,): which tokens' outputs predict which next token, and the weight of each in the loss, 0 where there is
    only room for more. longest: no document has more tokens.
    """

    ids: Tensor
    places: Tensor
    bounds: Tensor
    predicting: Tensor
    target: Tensor
    share: Tensor
    longest: int

    @property
    def tensors(self) -> list[Tensor]:
        return [self.ids, self.places, self.bounds, self.predicting, self.target, self.share]

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for batches that the same compiled code takes."""
        return (*(tensor.numel() for tensor in self.tensors), self.longest)

    def each(self, change: Callable[[Tensor], Tensor]) -> Packed:
        """The same with every tensor changed."""
        ids, places, bounds, predicting, target, share = map(change, self.tensors)
        return Packed(ids, places, bounds, predicting, target, share, self.longest)


@dataclass(frozen=True)
class Capacity:
    """Numbers of tokens, of the longest document, of documents, and of predictions."""

    tokens: int = 0
    longest: int = 0
    documents: int = 0
    predictions: int = 0

    @classmethod
    def expected(cls, needs: list[Capacity]) -> Capacity:
        """Enough for nearly all batches that are like those with these needs."""
        columns = [(max(column), fmean(column)) for column in zip(*map(astuple, needs), strict=True)]
        return cls().with_room_for(cls(*(ceil(most + ROOM * (most - mean)) for most, mean in columns)))

    def with_room_for(self, need: Capacity) -> Capacity:
        """At least as large as this one and as the needed one."""
        rounded = [ceil(wanted / unit) * unit for wanted, unit in zip(astuple(need), MULTIPLE, strict=True)]
        return Capacity(*map(max, astuple(self), rounded))


class Packer:
    """Packs batches to one shape, which grows when a batch does not fit."""

    def __init__(self, sample: list[Batch]) -> None:
        self.capacity = Capacity.expected([_Layout(batch).need for batch in sample])

    def __call__(self, batch: Batch) -> Packed:
        layout = _Layout(batch)
        self.capacity = self.capacity.with_room_for(layout.need)
        return layout.packed(self.capacity)


class _Layout:
    """Where the tokens of a batch go. Those behind the last predicted position of their row decide nothing and are left out."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        rows, columns = batch.ids.shape
        self.lengths = torch.zeros(rows, dtype=torch.long).scatter_reduce_(0, batch.row, batch.position + 1, "amax")
        column = torch.arange(columns)
        self.kept = column < self.lengths[:, None]
        begins = (column == 0).expand(rows, columns).clone()
        if batch.documents is not None:
            begins[:, 1:] |= batch.documents[:, 1:] != batch.documents[:, :-1]
        self.places = (column - torch.where(begins, column, 0).cummax(1).values)[self.kept]
        self.starts = begins[self.kept].nonzero()[:, 0]
        longest = int(self.places.max()) + 1
        tokens, documents = len(self.places), len(self.starts)
        self.need = Capacity(tokens, longest, documents, len(batch.row))

    def packed(self, capacity: Capacity) -> Packed:
        """The batch in the given room, which must hold it. What is left of the room is filled with documents of padding."""
        batch, tokens, longest = self.batch, self.need.tokens, capacity.longest
        padding = torch.arange(tokens, capacity.tokens, longest)
        bounds = torch.full([capacity.documents + -(-capacity.tokens // longest) + 1], capacity.tokens, dtype=torch.int32)
        bounds[: len(self.starts) + len(padding)] = torch.cat([self.starts, padding])
        offsets = self.lengths.cumsum(0) - self.lengths
        share = torch.full([len(batch.row)], 1 / len(batch.row)) if batch.share is None else batch.share
        return Packed(
            ids=_filled(batch.ids[self.kept], capacity.tokens)[None],
            places=_filled(torch.cat([self.places, torch.arange(capacity.tokens - tokens) % longest]), capacity.tokens)[None],
            bounds=bounds,
            predicting=_filled(offsets[batch.row] + batch.position, capacity.predictions),
            target=_filled(batch.ids[batch.row, batch.position + 1], capacity.predictions),
            share=_filled(share, capacity.predictions),
            longest=longest,
        )


def _filled(values: Tensor, length: int) -> Tensor:
    """The values with zeros after them, `length` in all."""
    return torch.nn.functional.pad(values, (0, length - len(values)))
