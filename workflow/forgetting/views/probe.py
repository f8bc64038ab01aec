"""A linear probe: can the value of a kind be read off the residual stream of units it was not fitted on? (docs/views.md)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.data.items import Items
from forgetting.intervals import clustered_wilson
from forgetting.views.measured import NOT_A_NUMBER, Measured

RIDGE = 0.01
"""Penalty as a share of the mean variance of a direction."""


@dataclass(frozen=True)
class Guesses:
    """What a probe says of the m units that it was not fitted on, each (m,).

    right: the guess is the unit's value. modal: always guessing the most frequent value of the fitted half would be right. possible: the
    value occurs in the fitted half, so that some guess can be right.
    """

    unit: NDArray[np.integer]
    right: NDArray[np.bool_]
    modal: NDArray[np.bool_]
    possible: NDArray[np.bool_]

    @classmethod
    def joined(cls, several: Sequence[Guesses]) -> Self:
        """Those of several probes, say of every kind, as one; units may occur in each."""
        names = ("unit", "right", "modal", "possible")
        return cls(*(np.concatenate([getattr(guesses, name) for guesses in several]) for name in names))

    def measured(self) -> dict[str, Measured]:
        """probe_accuracy with its Wilson interval (clustered by unit) and the modal guess as chance, and probe_ceiling: the share of
        units for whom a guess can be right at all. NaN when nobody was left to test on."""
        if not len(self.unit):
            return {"probe_accuracy": Measured(NOT_A_NUMBER), "probe_ceiling": Measured(NOT_A_NUMBER)}
        return {
            "probe_accuracy": Measured(*clustered_wilson(self.right, self.unit), float(self.modal.mean())),
            "probe_ceiling": Measured(float(self.possible.mean())),
        }


def answer_labels(questions: Items, kind: str) -> NDArray[np.int64]:
    """A number for each different answer, (n,). Of a birthday only the month counts (its first token): hardly two units share a date."""
    tokens = 1 if kind == "birthday" else int(questions.answer_length.max())
    positions = torch.arange(tokens)
    inside = positions < questions.answer_length[:, None]
    columns = (questions.prompt_length[:, None] + positions).clamp_max(questions.ids.shape[1] - 1)
    answers = torch.where(inside, questions.ids.gather(1, columns), -1)
    return np.unique(answers.numpy(), axis=0, return_inverse=True)[1].reshape(-1)


def probe(states: Tensor, units: NDArray[np.integer], labels: NDArray[np.int64]) -> Guesses:
    """A ridge classifier (one against all) fitted on every other unit, and what it says of the rest.

    states (n, d), units (n,), labels (n,). Turning the states by any orthogonal matrix, or mirroring axes, changes nothing.
    """
    everyone = np.unique(units)
    fitted = np.isin(units, everyone[::2])
    tested = ~fitted
    values, target = np.unique(labels[fitted], return_inverse=True)
    guess = values[_ridge_classes(states[fitted].double(), torch.from_numpy(target), states[tested].double())]
    modal = values[np.bincount(target).argmax()]
    truth = labels[tested]
    return Guesses(units[tested], guess == truth, truth == modal, np.isin(truth, values))


def _ridge_classes(fitted: Tensor, target: Tensor, tested: Tensor) -> NDArray[np.int64]:
    """Class of each row of `tested` (m, d) by least squares with intercept and penalty on indicators of `target` (n,)."""
    indicators = torch.nn.functional.one_hot(target).double()
    centre, share = fitted.mean(0), indicators.mean(0)
    scatter = (fitted - centre).T @ (fitted - centre)
    penalty = RIDGE * scatter.trace() / len(scatter) + torch.finfo(torch.float64).tiny
    coefficients = torch.linalg.solve(
        scatter + penalty * torch.eye(len(scatter), dtype=torch.float64), (fitted - centre).T @ (indicators - share)
    )
    return ((tested - centre) @ coefficients + share).argmax(1).numpy()
