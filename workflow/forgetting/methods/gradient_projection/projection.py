"""Projections of weight updates: off one direction a row, and off a subspace of a map's inputs. Works on tensors alone.

A weight of a linear map is (out, in), and a *row* of it belongs to one output. Biases and norms are vectors and count as one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from forgetting.subspaces import leading_directions, rank_at_energy


def unit_rows(direction: Tensor) -> Tensor:
    """Every row of `direction` (..., d) at length 1; rows of zeros stay zeros. Lengths are taken in float64, where small entries of a
    float32 direction do not underflow when squared."""
    exact = direction.double()
    length = exact.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, exact / length, 0.0).to(direction.dtype)


def remove_along_(target: Tensor, rows: Tensor, direction: Tensor) -> None:
    """target <- target - (rows . direction) direction, row by row and in place; all three are (..., d).

    Where `direction` has unit rows this takes the part along it out of `rows`; with other lengths it takes too much or too little.
    """
    target.addcmul_(torch.linalg.vecdot(rows, direction).unsqueeze(-1), direction, value=-1)


@dataclass(frozen=True)
class Subspace:
    """The leading `rank` directions of R^d, from the basis of them or of all others, whichever has fewer vectors.

    basis: (d, m) orthonormal columns. inside: whether they span the subspace, or else its complement.
    """

    basis: Tensor
    inside: bool
    rank: int

    @classmethod
    def holding(cls, moment: Tensor, energy: float, dtype: torch.dtype) -> Self:
        """The fewest eigenvectors of a second-moment matrix X^T X (d, d) that hold `energy` of the squared norm of X."""
        return cls.joined([moment], energy, dtype)

    @classmethod
    def joined(cls, moments: Sequence[Tensor], energy: float, dtype: torch.dtype) -> Self:
        """The same for the inputs X of several tasks, one second-moment matrix each: to the subspace of the tasks before, each adds the
        fewest eigenvectors of what it leaves of X^T X with which `energy` of the squared norm of X is held (Saha et al. 2021, eq. 9)."""
        first, *others = moments
        vectors, energies = leading_directions(first)
        rank = rank_at_energy(energies, energy)
        for moment in others:
            if rank == len(first):
                break
            left = vectors[:, rank:]
            added, energies = leading_directions(left.T @ moment @ left)
            missing = energy * moment.trace() - (moment.trace() - energies.sum())
            more = rank_at_energy(energies, float(missing / energies.sum())) if missing > 0 else 0
            vectors = torch.cat([vectors[:, :rank], left @ added], dim=1)
            rank += more
        inside = 2 * rank <= len(first)
        return cls((vectors[:, :rank] if inside else vectors[:, rank:]).to(dtype).contiguous(), inside, rank)

    @property
    def share(self) -> float:
        """rank / d"""
        return self.rank / len(self.basis)

    def protect_(self, after: Tensor, before: Tensor) -> None:
        """Take out of the update U = after - before (out, d) what acts on the subspace: after <- before + U (I - M M^T), in place.

        A map's outputs for inputs within the subspace are then what they were before.
        """
        along = (after - before) @ self.basis
        if self.inside:
            after.addmm_(along, self.basis.T, alpha=-1)
        else:
            torch.addmm(before, along, self.basis.T, out=after)
