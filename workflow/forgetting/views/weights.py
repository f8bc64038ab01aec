"""How two updates of one matrix relate (docs/views.md): angles of their leading directions beside their ranks and what chance gives.

Independent Gaussian updates are not at 90 degrees: a kept direction of B has r_A / d of its squared length in the r_A kept directions of
A. So a raw angle mostly reads the rank of A, and every angle here comes with its chance level and the middle 95 % of a null: A as it is,
and B with its own singular values but random left singular vectors (Haar), which is what an independent Gaussian update of that spectrum
has. Angles draw them; of the cosine, whose first two moments under this null are known, the range follows from a formula.

All directions are taken on the residual-stream side of a matrix: the input of query, key, value and the first MLP matrices, the output of
the attention and MLP output matrices, the hidden dimension of both embeddings.
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

from forgetting.config.jobs.views.weights import WeightsJob
from forgetting.data.points import TASK1_EARLY, TASK1_END
from forgetting.intervals import Z
from forgetting.model.anatomy import WRITING, Anatomy
from forgetting.subspaces import (
    angles_to_subspace,
    chance_angle_to_subspace,
    chance_principal_angle,
    dimensions,
    leading_directions,
    principal_angle,
    random_angles,
    random_principal_angles,
    rank_at_energy,
)
from forgetting.views.measured import NOT_A_NUMBER, Measured, percentiles

UPDATES = {
    "pretraining_earlier": ("pretrained_earlier", "pretrained_late"),
    "pretraining": ("pretrained_late", "pretrained"),
    "task0": ("pretrained", "task0"),
    "task1": ("task0", TASK1_END),
    "task1_early": ("task0", TASK1_EARLY),
    "task1_late": (TASK1_EARLY, TASK1_END),
}
"""Name of an update: the checkpoints before and after it."""
PAIRS = (
    ("pretraining_earlier", "pretraining"),
    ("pretraining", "task0"),
    ("pretraining", "task1"),
    ("task0", "task1_early"),
    ("task1_early", "task1_late"),
)
"""(former, latter) updates that are compared."""

ANGLES = ("mean_angle", "weighted_angle", "principal_angle")


def matrix(weights: Mapping[str, Tensor], anatomy: Anatomy, layer: int, component: str) -> Tensor:
    """One matrix as (d, n) with the residual stream in the rows. `layer` counts the blocks from 1; it plays no part for the
    embeddings."""
    found = anatomy.matrix(weights, layer - 1, component)
    return found if component in WRITING else found.T


def places(anatomy: Anatomy) -> dict[str, list[int]]:
    """The layers that each matrix is found in, as all tables count them: 0 the embedding, the blocks from 1, behind them the output
    embedding."""
    blocks = list(range(1, anatomy.layers + 1))
    return {"embedding": [0], **dict.fromkeys(anatomy.components, blocks), "output_embedding": [anatomy.layers + 1]}


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
        change = self.change
        return leading_directions(change @ change.T)

    @property
    def directions(self) -> Tensor:
        """Left singular vectors (d, d), as columns, largest singular value first."""
        return self._directions[0]

    @property
    def energies(self) -> Tensor:
        """Squared singular values (d,), descending."""
        return self._directions[1]

    def rank(self, energy: float) -> int:
        """How many directions are kept: the fewest that hold `energy` of the squared norm, 0 of a frozen matrix."""
        return rank_at_energy(self.energies, energy)

    def shares(self, rank: int) -> Tensor:
        """What each of the first `rank` directions has of their squared norm, (rank,)."""
        return self.energies[:rank] / self.energies[:rank].sum()


def compare(former: Update, latter: Update, energy: float, principal_rank: int) -> dict[str, Measured]:
    """All metrics of WEIGHTS for one matrix.

    mean_angle: theta_i = arccos |U_A^T u_i|, averaged over the kept directions u_i of the latter update B; kept are the fewest that hold
    `energy` of the squared norm. weighted_angle: averaged by squared singular value. principal_angle: mean principal angle of the
    `principal_rank` leading directions of both. Angles and cosine are NaN when an update is zero (a frozen matrix), principal_angle also
    when one has fewer directions.
    """
    former_rank, rank = former.rank(energy), latter.rank(energy)
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
        result["cosine"] = _cosine(former.change, latter.change)
        for metric, (value, chance) in angles(former, latter, energy, principal_rank).items():
            low, high = percentiles(_random(metric, former_rank, latter, rank, principal_rank))
            result[metric] = Measured(value, chance=chance, chance_low=low, chance_high=high)
    return result


def angles(former: Update, latter: Update, energy: float, principal_rank: int) -> dict[str, tuple[float, float]]:
    """Each angle of `compare` and its chance level, without those that are not defined, and without the range of chance, which costs more
    than all the rest."""
    former_rank, rank, dimension = former.rank(energy), latter.rank(energy), len(latter.directions)
    if not (former_rank and rank):
        return {}
    of_each = angles_to_subspace(former.directions[:, :former_rank], latter.directions[:, :rank])
    chance = chance_angle_to_subspace(former_rank, dimension)  # of any weighted mean, since every direction has the same expectation
    found = {"mean_angle": (float(of_each.mean()), chance), "weighted_angle": (float(of_each @ latter.shares(rank)), chance)}
    if min(dimensions(former.energies), dimensions(latter.energies)) >= principal_rank:
        leading = principal_angle(former.directions[:, :principal_rank], latter.directions[:, :principal_rank])
        found["principal_angle"] = (leading, chance_principal_angle(principal_rank, dimension))
    return found


def _random(metric: str, former_rank: int, latter: Update, rank: int, principal_rank: int) -> Tensor:
    """The angle that random latter updates have, (draws,)."""
    dimension = len(latter.directions)
    if metric == "principal_angle":
        return random_principal_angles(principal_rank, dimension)
    of_each = random_angles(former_rank, rank, dimension)
    return of_each.mean(1) if metric == "mean_angle" else of_each @ latter.shares(rank).cpu()


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
    excess: dict[str, list[float]] = {}
    for update in former:
        for metric, (value, chance) in angles(update, latter, energy, principal_rank).items():
            excess.setdefault(metric, []).append(value - chance)
    return {metric: float(np.mean(values)) for metric, values in excess.items()}


def weight_updates(
    job: WeightsJob, checkpoints: Mapping[str, Mapping[str, Tensor]], anatomy: Anatomy, device: torch.device
) -> pd.DataFrame:
    """Every pair of updates of every matrix: rows of WEIGHTS.

    `checkpoints`: the weights of every name in UPDATES; a pair with an update for which one is missing is left out. One component at a
    time goes to `device`.
    """
    rows = []
    known = {name: ends for name, ends in UPDATES.items() if checkpoints.keys() >= set(ends)}
    pairs = [pair for pair in PAIRS if known.keys() >= set(pair)]
    for component, layers in places(anatomy).items():
        updates = {}
        for layer in layers:
            matrices = {name: matrix(weights, anatomy, layer, component).to(device) for name, weights in checkpoints.items()}
            updates[layer] = {name: Update(matrices[before], matrices[after]) for name, (before, after) in known.items()}
        for layer, (former, latter) in itertools.product(layers, pairs):
            measured = compare(updates[layer][former], updates[layer][latter], job.energy, job.principal_rank)
            elsewhere = [updates[other][former] for other in layers if other != layer]
            others = other_layers(elsewhere, updates[layer][latter], job.energy, job.principal_rank)
            rows += [
                (former, latter, layer, component, metric)
                + (found.value, found.chance, found.chance_low, found.chance_high, others.get(metric, NOT_A_NUMBER))
                for metric, found in measured.items()
            ]
    columns = ["former", "latter", "layer", "component", "metric", "value", "chance", "chance_low", "chance_high", "other_layers"]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm)
