"""A linear probe: can the value of an attribute be read off the residual stream of persons it was not fitted on? (science §5)"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.tokens import Questions

RIDGE = 0.01
"""Penalty as a share of the mean variance of a direction."""


def answer_labels(questions: Questions, attribute: str) -> NDArray[np.int64]:
    """A number for each different answer, (n,). Of a birthday only the month counts (its first token): hardly two persons share a date."""
    tokens = 1 if attribute == "birthday" else int(questions.answer_length.max())
    positions = torch.arange(tokens)
    inside = positions < questions.answer_length[:, None]
    columns = (questions.prompt_length[:, None] + positions).clamp_max(questions.ids.shape[1] - 1)
    answers = torch.where(inside, questions.ids.gather(1, columns), -1)
    return np.unique(answers.numpy(), axis=0, return_inverse=True)[1].reshape(-1)


def probe(states: Tensor, persons: NDArray[np.integer], labels: NDArray[np.int64]) -> dict[str, tuple[float, float]]:
    """Accuracy of a ridge classifier (one against all) fitted on every other person and tested on the rest: (value, chance) by metric.

    states (n, d), persons (n,), labels (n,). The chance of probe_accuracy is the share of the most frequent value of the fitted half in
    the tested half. probe_ceiling is the share of the tested half whose value occurs in the fitted half: no other answer can be right.
    NaN with one person.
    """
    everyone = np.unique(persons)
    fitted = np.isin(persons, everyone[::2])
    tested = ~fitted
    if not tested.any():
        return {"probe_accuracy": (float("nan"), float("nan")), "probe_ceiling": (float("nan"), float("nan"))}
    values, target = np.unique(labels[fitted], return_inverse=True)
    guess = values[_ridge_classes(states[fitted].double(), torch.from_numpy(target), states[tested].double())]
    modal = values[np.bincount(target).argmax()]
    return {
        "probe_accuracy": (float(np.mean(guess == labels[tested])), float(np.mean(labels[tested] == modal))),
        "probe_ceiling": (float(np.mean(np.isin(labels[tested], values))), float("nan")),
    }


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
