"""The parts of a model that weights belong to: embeddings, blocks, and what is within a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from forgetting.model.anatomy import OUTPUT_EMBEDDING as OUTPUT_WEIGHT
from forgetting.model.anatomy import Anatomy, uniform_name

EMBEDDING, BLOCK, OUTPUT_EMBEDDING, NORM = "embedding", "block", "output_embedding", "norm"
SEVERAL = -1
"""`layer` of what is no single layer."""


class Cell(NamedTuple):
    """Weights of one parameter that belong together. component: embedding, output_embedding, norm, or a matrix of a block (`anatomy.py`),
    with its bias. layer: 0 the embedding, i the i-th block, blocks + 1 what comes behind. where: in the flat parameter; None is all."""

    component: str
    layer: int
    where: Tensor | None


class Part(NamedTuple):
    """A part of a model: the cells with one of these components (all, if None) in these layers."""

    name: str
    layer: int
    components: frozenset[str] | None
    layers: range

    def has(self, cell: Cell) -> bool:
        return cell.layer in self.layers and (self.components is None or cell.component in self.components)


def layer_of(name: str, anatomy: Anatomy) -> tuple[str, int]:
    """(embedding, block, output_embedding or norm, layer) of a parameter. One that is tied to the embedding counts there; the norm is the
    final one, which is in no block."""
    if uniform_name(name) == OUTPUT_WEIGHT:
        return OUTPUT_EMBEDDING, anatomy.layers + 1
    if anatomy.is_embedding(name):
        return EMBEDDING, 0
    layer = anatomy.layer_of(name)
    return (NORM, anatomy.layers + 1) if layer is None else (BLOCK, layer + 1)


def cells(name: str, values: Tensor, anatomy: Anatomy) -> list[Cell]:
    """The cells of a parameter, given by its name and anything in its shape: several where matrices are stored as one."""
    place, layer = layer_of(name, anatomy)
    if place != BLOCK:
        return [Cell(place, layer, None)]
    found = matrices(name, values, anatomy)
    if not found:
        return [Cell(NORM, layer, None)]
    return [Cell(component, layer, index.flatten()) for component, index in found.items()]


def matrices(name: str, values: Tensor, anatomy: Anatomy) -> dict[str, Tensor]:
    """Where in a flat parameter the matrices of a block lie, (out, in) each, if it is the weight of a linear map, (out,) if its bias; else
    none. `values`: anything in its shape."""
    weight = f"{name.rpartition('.')[0]}.weight"
    if not any(weight.endswith(f".{module}.weight") for module in anatomy.family.maps):
        return {}
    return anatomy.split(weight, torch.arange(values.numel()).reshape(values.shape))


ATTENTION = frozenset(["query", "key", "value", "attention_output"])
MLP = frozenset(["mlp_gate", "mlp_input", "mlp_output"])


def single_parts(anatomy: Anatomy) -> Iterator[Part]:
    """Embeddings, norms, and each block, its attention and its MLP. A block has its norms, its attention and MLP have not."""
    last = anatomy.layers + 1
    everywhere = range(last + 1)
    yield Part(EMBEDDING, 0, frozenset([EMBEDDING]), everywhere)
    for block in range(1, last):
        yield Part(BLOCK, block, None, range(block, block + 1))
        yield Part("attention", block, ATTENTION, range(block, block + 1))
        yield Part("mlp", block, MLP, range(block, block + 1))
    yield Part("norms", SEVERAL, frozenset([NORM]), everywhere)
    yield Part(OUTPUT_EMBEDDING, last, frozenset([OUTPUT_EMBEDDING]), everywhere)


def several_parts(anatomy: Anatomy) -> Iterator[Part]:
    """Groups of blocks from below and from above, all blocks, and the same matrices of all blocks."""
    last = anatomy.layers + 1
    blocks = range(1, last)
    for block in range(1, anatomy.layers):
        yield Part("blocks_up_to", block, None, range(1, block + 1))
        yield Part("blocks_from", block + 1, None, range(block + 1, last))
    yield Part("blocks", SEVERAL, None, blocks)
    yield Part("query_key", SEVERAL, frozenset(["query", "key"]), blocks)
    yield Part("value_output", SEVERAL, frozenset(["value", "attention_output"]), blocks)
    yield Part("mlps", SEVERAL, MLP, blocks)
