"""How two updates of one matrix relate (science §5): angles of their leading directions beside their ranks and what chance gives.

Independent Gaussian updates are not at 90 degrees: a kept direction of B has r_A / d of its squared length in the r_A kept directions of
A. So a raw angle mostly reads the rank of A, and every angle here comes with its chance level and the middle 95 % of a null: A as it is,
and B with its own singular values but random left singular vectors (Haar), which is what an independent Gaussian update of that spectrum
has. Angles draw them; of the cosine, whose first two moments under this null are known, the range follows from a formula.

All directions are taken on the residual-stream side of a matrix: the input of query, key, value and the first MLP matrix, the output of the
attention and MLP output matrices, the hidden dimension of both embeddings.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forgetting.run import Run
from forgetting.statistics import Z
from forgetting.subspaces import (
    angles_to_subspace,
    chance_angle_to_subspace,
    dimensions,
    leading_directions,
    principal_angle,
    random_angles,
    random_principal_angles,
    rank_at_energy,
)
from forgetting.views.inputs import OUTPUT_EMBEDDING
from forgetting.views.measured import NOT_A_NUMBER, Measured, percentiles

UPDATES = {
    "pretraining": ("pretrained_late", "pretrained"),
    "task0": ("pretrained", "task0"),
    "task1": ("task0", "task1_end"),
    "task1_early": ("task0", "task1_early"),
    "task1_late": ("task1_early", "task1_end"),
}
"""Name of an update: the checkpoints before and after it. `task1_early` is step 150."""
PAIRS = (("pretraining", "task0"), ("pretraining", "task1"), ("task0", "task1_early"), ("task1_early", "task1_late"))
"""(former, latter) updates that are compared."""

_FUSED = "attention.query_key_value.weight"
_ATTENTION = ("query", "key", "value")
_READS_THE_STREAM = {"mlp_input": "mlp.dense_h_to_4h.weight"}
_WRITES_TO_THE_STREAM = {"attention_output": "attention.dense.weight", "mlp_output": "mlp.dense_4h_to_h.weight"}
ANGLES = ("mean_angle", "weighted_angle", "principal_angle")
COMPONENTS = (*_ATTENTION, "attention_output", "mlp_input", "mlp_output")
"""Matrices of one block."""


def split_heads(fused: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value matrices, each (d, d), of GPT-NeoX's fused one (3 d, d), with rows [head, (query, key, value), head size]."""
    by_head = fused.unflatten(0, (heads, 3, -1))
    query, key, value = (by_head[:, part].flatten(0, 1) for part in range(3))
    return query, key, value


def matrix(weights: Mapping[str, Tensor], layer: int, component: str, heads: int) -> Tensor:
    """One matrix as (d, n) with the residual stream in the rows. `layer` counts the blocks; it plays no part for the embeddings."""
    if component in ("embedding", "output_embedding"):
        return weights["gpt_neox.embed_in.weight" if component == "embedding" else OUTPUT_EMBEDDING].T
    block = f"gpt_neox.layers.{layer}."
    if component in _ATTENTION:
        return split_heads(weights[block + _FUSED], heads)[_ATTENTION.index(component)].T
    if component in _READS_THE_STREAM:
        return weights[block + _READS_THE_STREAM[component]].T
    return weights[block + _WRITES_TO_THE_STREAM[component]]


@dataclass(frozen=True)
class Update:
    """What one stage changed in one matrix: (d, n) before and after it, with the residual stream in the rows."""

    before: Tensor
    after: Tensor

    @property
    def change(self) -> Tensor:
        return self.after.double() - self.before.double()

    @cached_property
    def _directions(self) -> tuple[Tensor, Tensor]:
        # Through the (d, d) Gram matrix, because an embedding has d x vocabulary entries and its own decomposition would not fit.
        return leading_directions(self.change @ self.change.T)

    @property
    def directions(self) -> Tensor:
        """Left singular vectors (d, d), as columns, largest singular value first."""
        return self._directions[0]

    @property
    def energies(self) -> Tensor:
        """Squared singular values (d,), descending."""
        return self._directions[1]


def compare(former: Update, latter: Update, energy: float, principal_rank: int) -> dict[str, Measured]:
    """All metrics of WEIGHTS for one matrix.

    mean_angle: theta_i = arccos |U_A^T u_i|, averaged over the kept directions u_i of the latter update B; kept are the fewest that hold
    `energy` of the squared norm. weighted_angle: averaged by squared singular value. principal_angle: mean principal angle of the
    `principal_rank` leading directions of both. Angles and cosine are NaN when an update is zero (a frozen matrix), principal_angle also
    when one has fewer directions.
    """
    former_rank, rank = rank_at_energy(former.energies, energy), rank_at_energy(latter.energies, energy)
    squared_norm, before_norm = float(latter.energies.sum()), float(latter.before.double().norm())
    result = {
        **dict.fromkeys(ANGLES, Measured(NOT_A_NUMBER)),
        "cosine": Measured(NOT_A_NUMBER),
        "relative_norm": Measured(squared_norm**0.5 / before_norm if before_norm else NOT_A_NUMBER),
        "stable_rank": Measured(squared_norm / float(latter.energies[0]) if rank else NOT_A_NUMBER),
        "rank": Measured(rank),
        "former_rank": Measured(former_rank),
    }
    if rank and former_rank:
        result |= _angles(former, latter, former_rank, rank)
        result["cosine"] = _cosine(former.change, latter.change)
        if min(dimensions(former.energies), dimensions(latter.energies)) >= principal_rank:
            angle = principal_angle(former.directions[:, :principal_rank], latter.directions[:, :principal_rank])
            null = random_principal_angles(principal_rank, len(latter.directions))
            result["principal_angle"] = _against(angle, float(null.mean()), null)
    return result


def _against(value: float, chance: float, null: Tensor) -> Measured:
    low, high = percentiles(null)
    return Measured(value, chance=chance, chance_low=low, chance_high=high)


def _angles(former: Update, latter: Update, former_rank: int, rank: int) -> dict[str, Measured]:
    dimension = len(latter.directions)
    angles = angles_to_subspace(former.directions[:, :former_rank], latter.directions[:, :rank]).cpu()
    null = random_angles(former_rank, rank, dimension)
    chance = chance_angle_to_subspace(former_rank, dimension)  # of any weighted mean, since every direction has the same expectation
    shares = (latter.energies[:rank] / latter.energies[:rank].sum()).cpu()
    return {
        "mean_angle": _against(float(angles.mean()), chance, null.mean(1)),
        "weighted_angle": _against(float(angles @ shares), chance, null @ shares),
    }


def _cosine(former: Tensor, latter: Tensor) -> Measured:
    """Cosine of the flattened updates A and B (d, n), with its range when B is turned by a random orthogonal matrix Q.

    Then |A| |B| cosine = tr(Q B A^T) has mean 0 and variance |B A^T|^2 / d exactly, because the entries of Q are uncorrelated with variance
    1 / d. It is all but normal: at worst, for B A^T of rank 1, it is a coordinate of a random direction, whose 95 % range is narrower by
    0.1 % at d = 256. So no draws are needed.
    """
    product, norms = latter @ former.T, float(former.norm() * latter.norm())
    half = Z * float(product.norm()) / len(product) ** 0.5 / norms
    return Measured(float(product.trace()) / norms, chance=0.0, chance_low=-half, chance_high=half)


def other_layers(former: Sequence[Update], latter: Update, energy: float, principal_rank: int) -> dict[str, float]:
    """What a sceptic compares with: the mean angle minus chance, by metric, when the former update is that of the same component in
    another layer. All layers write to one residual stream and see the same tokens, so their updates share directions anyway."""
    found = [compare(update, latter, energy, principal_rank) for update in former]
    excess = {metric: [one[metric].value - one[metric].chance for one in found] for metric in ANGLES}
    return {metric: float(np.nanmean(values)) for metric, values in excess.items() if not np.isnan(values).all()}


def weight_updates(run: Run, checkpoints: Mapping[str, Mapping[str, Tensor]], heads: int, device: torch.device) -> pd.DataFrame:
    """Every pair of updates of every matrix: rows of WEIGHTS.

    `checkpoints` are the weights of pretrained_late, pretrained, task0, task1_early and task1_end. One component at a time goes to
    `device`.
    """
    views = run.need("views")
    blocks = sum(name.endswith(_FUSED) for name in checkpoints["task0"])
    places = {"embedding": [-1], **dict.fromkeys(COMPONENTS, range(blocks)), "output_embedding": [blocks]}
    rows = []
    for component, layers in places.items():
        updates = {}
        for layer in layers:
            matrices = {name: matrix(weights, layer, component, heads).to(device) for name, weights in checkpoints.items()}
            updates[layer] = {name: Update(matrices[before], matrices[after]) for name, (before, after) in UPDATES.items()}
        for layer, (former, latter) in itertools.product(layers, PAIRS):
            measured = compare(updates[layer][former], updates[layer][latter], views.energy, views.principal_rank)
            elsewhere = [updates[other][former] for other in layers if other != layer]
            others = other_layers(elsewhere, updates[layer][latter], views.energy, views.principal_rank)
            rows += [
                (former, latter, layer, component, metric)
                + (found.value, found.chance, found.chance_low, found.chance_high, others.get(metric, NOT_A_NUMBER))
                for metric, found in measured.items()
            ]
    columns = ["former", "latter", "layer", "component", "metric", "value", "chance", "chance_low", "chance_high", "other_layers"]
    return pd.DataFrame(rows, columns=columns).assign(scale=run.scale, seed=run.seed, arm=run.arm)
