"""The loss landscape around one Task 1 run (science §5): losses on a plane through three checkpoints, and the trajectory projected onto it.

The plane is spanned by alpha, the displacement of the first 150 steps of Task 1 ("alignment direction"), and beta, the displacement from
there to the end ("knowledge direction").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm
from transformers import GPTNeoXForCausalLM

from forgetting.errors import StudyError
from forgetting.evaluation import answer_loss
from forgetting.run import Run
from forgetting.tokens import Questions
from forgetting.views.inputs import Checkpoints, evenly_spaced_persons, parameter_vector, read_model, uniform_name

REFERENCE_ORIGIN = 100
_CHUNK = 1 << 22
_DEGENERATE = 1e-5


@dataclass(frozen=True)
class Plane:
    """The points origin + alpha * first + beta * second of weight space; three vectors (P,)."""

    origin: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def orthogonal(cls, start: Tensor, bend: Tensor, end: Tensor) -> Self:
        """Through three points; the origin is `start`, alpha points to `bend`, beta is what remains of `end - bend` (Gram-Schmidt).

        Both directions have length 1, so alpha and beta are L2 distances. Raises StudyError when the points lie on one line.
        """
        first, second = bend - start, end - bend
        shortest = _DEGENERATE * _norm(second)
        if _norm(first) > 0:
            first = first / _norm(first)
            for _ in range(2):  # twice, because float32 leaves a visible rounding error the first time
                second = second - _inner(first, second) * first
        length = _norm(second)
        if _norm(first) == 0 or length <= shortest:
            raise StudyError("the three checkpoints that should span the landscape lie on one line; is the learning rate zero?")
        return cls(start, first, second / length)

    @classmethod
    def reference(cls, start: Tensor, bend: Tensor, end: Tensor) -> Self:
        """As the paper: the two displacements themselves, neither orthogonal nor of length 1, from `start` (step 100).

        Raises StudyError when the points lie on one line.
        """
        cls.orthogonal(start, bend, end)  # refuses such points
        return cls(start, bend - start, end - bend)

    def project(self, weights: Tensor) -> tuple[float, float, float]:
        """alpha and beta of the point of the plane nearest to `weights` (P,), by least squares over all of them, and the share of the
        displacement's norm that lies in the plane (NaN at the origin)."""
        displacement = weights - self.origin
        gram = np.array(
            [
                [_inner(self.first, self.first), _inner(self.first, self.second)],
                [_inner(self.first, self.second), _inner(self.second, self.second)],
            ]
        )
        coordinates = np.linalg.solve(gram, [_inner(self.first, displacement), _inner(self.second, displacement)])
        length = _norm(displacement)
        inside = np.sqrt(coordinates @ gram @ coordinates)
        return float(coordinates[0]), float(coordinates[1]), float(min(inside / length, 1.0)) if length else float("nan")


def _inner(first: Tensor, second: Tensor) -> float:
    """Inner product in float64, in chunks so that no float64 copy of all weights is made."""
    parts = zip(first.split(_CHUNK), second.split(_CHUNK), strict=True)
    return sum(torch.dot(a.double(), b.double()).item() for a, b in parts)


def _norm(vector: Tensor) -> float:
    return _inner(vector, vector) ** 0.5


def flatten_parameters(model: nn.Module) -> Tensor:
    """Move all parameters of `model` into one vector (P,): writing to it moves the model, without any copy."""
    parameters = list(model.parameters())
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    parts = flat.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data = part.view_as(parameter)
    return flat


def losses_on_plane(
    model: GPTNeoXForCausalLM,
    plane: Plane,
    alphas: NDArray[np.float64],
    betas: NDArray[np.float64],
    questions: Sequence[Questions],
    batch_size: int,
) -> NDArray[np.float64]:
    """Answer loss (nats per answer token) of each set of questions at each point: (len(betas), len(alphas), len(questions)).

    The weights of `model` are left at the last point. The vectors of the plane are in the order of `model.parameters()`, on its device.
    """
    weights = flatten_parameters(model)
    losses = np.empty((len(betas), len(alphas), len(questions)))
    for row, beta in enumerate(tqdm(betas, desc="landscape", unit="row", mininterval=5)):
        base = torch.add(plane.origin, plane.second, alpha=float(beta))
        for column, alpha in enumerate(alphas):
            torch.add(base, plane.first, alpha=float(alpha), out=weights)
            losses[row, column] = [answer_loss(model, group, batch_size) for group in questions]
    return losses


def grid_axis(coordinates: NDArray[np.float64], margin: float, points: int) -> NDArray[np.float64]:
    """`points` evenly spaced values over the range of `coordinates`, widened at each end by `margin` times that range."""
    low, high = coordinates.min(), coordinates.max()
    return np.linspace(low - margin * (high - low), high + margin * (high - low), points)


def plane_through(checkpoints: Checkpoints, axes: str, read: Callable[[int], Tensor]) -> tuple[Plane, dict[int, Tensor]]:
    """The plane of the run, and the weights that it was made from by step.

    `axes: orthogonal` starts at the end of Task 0; `axes: reference` at the checkpoint nearest to step 100 (before the alignment step; in
    a run without one that is the end of Task 0).
    """
    bend = checkpoints.alignment
    if axes == "orthogonal":
        start, span = 0, Plane.orthogonal
    else:
        start, span = (
            min((step for step in checkpoints.steps if step < bend), key=lambda step: abs(step - REFERENCE_ORIGIN)),
            Plane.reference,
        )
    corners = {step: read(step) for step in (start, bend, checkpoints.last)}
    return span(*corners.values()), corners


def landscape(run: Run, checkpoints: Checkpoints, questions: Questions, device: torch.device) -> pd.DataFrame:
    """Losses of `task0_test`, `task1` and their mean on the plane, and every checkpoint projected onto it: rows of LANDSCAPE."""
    settings = run.need("views").landscape
    model = read_model(checkpoints.folders[0], device)
    names = [uniform_name(name) for name, _ in model.named_parameters()]

    def read(step: int) -> Tensor:
        return parameter_vector(checkpoints.weights(step), names).to(device)

    plane, corners = plane_through(checkpoints, settings.axes, read)
    path = [(step, *plane.project(corners[step] if step in corners else read(step))) for step in checkpoints.steps]
    trajectory = pd.DataFrame(path, columns=["step", "alpha", "beta", "in_plane"]).assign(kind="trajectory")

    persons = settings.questions // len(np.unique(questions.attribute))
    groups = [evenly_spaced_persons(questions.of_groups(group), persons) for group in ("task0_test", "task1")]
    alphas, betas = (grid_axis(trajectory[axis].to_numpy(), settings.margin, settings.grid) for axis in ("alpha", "beta"))
    losses = losses_on_plane(model, plane, alphas, betas, groups, run.evaluation.batch_size)

    alpha, beta = np.meshgrid(alphas, betas)
    task0, task1 = losses[..., 0].ravel(), losses[..., 1].ravel()
    grid = pd.DataFrame({"alpha": alpha.ravel(), "beta": beta.ravel(), "task0_loss": task0, "task1_loss": task1})
    grid = grid.assign(kind="grid", step=-1, mean_loss=(task0 + task1) / 2)
    return pd.concat([grid, trajectory], ignore_index=True).assign(scale=run.scale, seed=run.seed, arm=run.arm)
