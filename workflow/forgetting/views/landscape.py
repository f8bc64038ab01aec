"""The loss landscape around one Task 1 run (docs/views.md): losses on a plane through three checkpoints, the trajectory and the
recovery from it projected onto that plane, and where that path turns.

The plane is spanned by alpha, the displacement up to the early point of Task 1 ("alignment direction"), and beta, the displacement from
there to the end ("knowledge direction"). Paths are measured twice, over all weights and over those of the blocks alone, because the
embeddings can hold most of the length.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.data.items import Items
from forgetting.data.points import REFERENCE_ORIGIN
from forgetting.errors import StudyError
from forgetting.model.anatomy import Anatomy, uniform_name
from forgetting.views.inputs import Checkpoints, parameter_vector, read_model, read_weights
from forgetting.views.recovered import Recovered
from forgetting.views.scores import AnswerScorer, Scores, Weights, one_thread_each
from forgetting.views.shared_prefix import answer_scorer

SPLITS = {"task0": "task0_test", "task1": "task1"}
"""Which questions each loss is about."""
ALL, BLOCKS = "all", "blocks"
"""Over which weights a path is measured."""
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
            first /= _norm(first)
            for _ in range(2):  # twice, because float32 leaves a visible rounding error the first time
                second.add_(first, alpha=-_inner(first, second))
        length = _norm(second)
        if _norm(first) == 0 or length <= shortest:
            raise StudyError("the three checkpoints that should span the landscape lie on one line; is the learning rate zero?")
        return cls(start, first, second.div_(length))

    @classmethod
    def reference(cls, start: Tensor, bend: Tensor, end: Tensor) -> Self:
        """As the paper: the two displacements themselves, neither orthogonal nor of length 1, from `start` (step 100).

        Raises StudyError when the points lie on one line.
        """
        cls.orthogonal(start, bend, end)  # refuses such points
        return cls(start, bend - start, end - bend)

    @cached_property
    def _gram(self) -> NDArray[np.float64]:
        return np.array([[_inner(one, other) for other in (self.first, self.second)] for one in (self.first, self.second)])

    def project(self, weights: Tensor) -> tuple[float, float, float]:
        """alpha and beta of the point of the plane nearest to `weights` (P,), by least squares over all of them, and the share of the
        displacement's norm that lies in the plane (NaN at the origin)."""
        return self.measure(weights - self.origin)

    def measure(self, displacement: Tensor) -> tuple[float, float, float]:
        """The same of a displacement (P,), wherever it starts."""
        coordinates = np.linalg.solve(self._gram, [_inner(self.first, displacement), _inner(self.second, displacement)])
        length = _norm(displacement)
        inside = np.sqrt(coordinates @ self._gram @ coordinates)
        return float(coordinates[0]), float(coordinates[1]), float(np.minimum(inside / length, 1.0)) if length else float("nan")


def _inner(first: Tensor, second: Tensor) -> float:
    """Inner product in float64, in chunks so that no float64 copy of all weights is made."""
    parts = zip(first.split(_CHUNK), second.split(_CHUNK), strict=True)
    return sum(torch.dot(a.double(), b.double()).item() for a, b in parts)


def _norm(vector: Tensor) -> float:
    return _inner(vector, vector) ** 0.5


@dataclass(frozen=True)
class Layout:
    """Where each weight of a model stands in a vector (P,) of all of them, by uniform name."""

    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        return cls({uniform_name(name): parameter.shape for name, parameter in model.named_parameters()})

    def on_line(self, base: Tensor, direction: Tensor, amount: float) -> Weights:
        """The weights base + amount * direction, each computed when it is asked for."""
        start, along = self._views(base), self._views(direction)

        def weights(name: str, rows: Tensor | None = None) -> Tensor:
            at, by = (views[name] if rows is None else views[name][rows] for views in (start, along))
            return torch.add(at, by, alpha=amount)

        return weights

    def _views(self, vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


def scores_on_plane(scorer: AnswerScorer, layout: Layout, plane: Plane, alphas: NDArray[np.float64], betas: NDArray[np.float64]) -> Scores:
    """Scores of the scorer's questions at each point: (len(betas), len(alphas), questions)."""
    rows = []
    with one_thread_each(plane.origin.device) as pool:
        for beta in tqdm(betas, desc="landscape", unit="row", mininterval=5):
            base = torch.add(plane.origin, plane.second, alpha=float(beta))
            points = [layout.on_line(base, plane.first, float(alpha)) for alpha in alphas]
            rows.append(np.array(list(pool.map(scorer, points))))
    nats, exact = np.stack(rows).transpose(2, 0, 1, 3)
    return Scores(nats, exact, scorer.questions)


def grid_axis(coordinates: NDArray[np.float64], margin: float, points: int) -> NDArray[np.float64]:
    """`points` evenly spaced values over the range of `coordinates`, widened at each end by `margin` times that range."""
    low, high = coordinates.min(), coordinates.max()
    return np.linspace(low - margin * (high - low), high + margin * (high - low), points)


def plane_through(checkpoints: Checkpoints, axes: str, read: Callable[[Path], Tensor]) -> Plane:
    """The plane of the run, from the weights that `read` gives of a folder.

    `axes: orthogonal` starts at the end of Task 0; `axes: reference` at the checkpoint before the early point
    that is nearest to `REFERENCE_ORIGIN` (in a run without one that is the end of Task 0).
    """
    folders, bend, last = checkpoints.folders, checkpoints.early, checkpoints.last
    if axes == "orthogonal":
        return Plane.orthogonal(read(folders[0]), read(folders[bend]), read(folders[last]))
    start = min((step for step in checkpoints.steps if step < bend), key=lambda step: abs(step - REFERENCE_ORIGIN))
    return Plane.reference(read(folders[start]), read(folders[bend]), read(folders[last]))


def spread_questions(questions: Items, count: int) -> Items:
    """At most `count` questions about as many units as possible, evenly spaced, with every kind equally often.

    The questions of one unit are not independent, so one question each of many units tells more than all six of a few.
    """
    units, of_unit = np.unique(questions.unit, return_inverse=True)
    kinds, of_kind = np.unique(questions.kind, return_inverse=True)
    chosen = np.unique(np.linspace(0, len(units) - 1, min(count, len(units))).round().astype(int))
    rank = np.full(len(units), -1)
    rank[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(rank[of_unit] >= 0)
    turn = (of_kind[rows] - rank[of_unit[rows]]) % len(kinds)
    return questions.select(np.sort(rows[np.lexsort((rank[of_unit[rows]], turn))][:count]))


def landscape(job: LandscapeJob, checkpoints: Checkpoints, recovered: Recovered, questions: Items, device: torch.device) -> pd.DataFrame:
    """Losses of `task0_test`, `task1` and their mean on the plane, and the paths of Task 1 and of the recovery from it, over all weights
    and over those of the blocks: rows of LANDSCAPE."""
    settings = job.landscape
    model = read_model(checkpoints.folders[0], torch.device("cpu"))
    layout = Layout.of(model)

    def reader(names: Collection[str]) -> Callable[[Path], Tensor]:
        return lambda folder: parameter_vector(read_weights(folder), names).to(device)

    whole = reader(layout.shapes)
    plane = plane_through(checkpoints, settings.axes, whole)
    paths = path_frame(plane, checkpoints, recovered, whole).assign(weights=ALL)
    of_blocks = reader(block_names(layout, Anatomy(model.config)))
    try:
        own_plane = plane_through(checkpoints, settings.axes, of_blocks)
        blocks = path_frame(own_plane, checkpoints, recovered, of_blocks).assign(weights=BLOCKS)
    except StudyError:  # an arm that freezes the blocks, or all but a line of them
        blocks = paths.iloc[:0]

    chosen = [spread_questions(questions.of(split), settings.questions) for split in SPLITS.values()]
    scorer = answer_scorer(model, chosen[0].joined_with(chosen[1]), device)
    alphas, betas = (grid_axis(paths[axis].to_numpy(), settings.margin, settings.grid) for axis in ("alpha", "beta"))
    grid = grid_frame(scores_on_plane(scorer, layout, plane, alphas, betas), alphas, betas)
    return pd.concat([grid, paths, blocks], ignore_index=True).assign(scale=job.scale, seed=job.seed, arm=job.arm)


def block_names(layout: Layout, anatomy: Anatomy) -> list[str]:
    """The weights of the blocks: all but the embeddings and the final norm."""
    return [name for name in layout.shapes if anatomy.layer_of(name) is not None]


def path_frame(plane: Plane, checkpoints: Checkpoints, recovered: Recovered, read: Callable[[Path], Tensor]) -> pd.DataFrame:
    """Every checkpoint of Task 1 and every recovered one, from the weights that `read` gives of a folder: columns kind, step, epochs,
    alpha, beta, in_plane, distance, turn, recovered_length, way_back of LANDSCAPE."""
    start = read(checkpoints.folders[0])
    way = read(checkpoints.folders[checkpoints.last]).sub_(start)
    rows = []
    for step in checkpoints.steps:
        weights = read(checkpoints.folders[step])
        alpha, beta, share = plane.project(weights)
        gone = weights.sub_(start)
        rows.append(("trajectory", step, 0.0, alpha, beta, share, _norm(gone), _turn(gone, way), np.nan, np.nan))
    for kind, step, epochs, folder in recovered.points(checkpoints.folders):
        weights, origin = read(folder), read(checkpoints.folders[step])
        alpha, beta, _ = plane.project(weights)
        distance = _norm(weights - start)
        added = weights.sub_(origin)
        share = plane.measure(added)[2]
        back = cosine(added, start - origin)
        rows.append((kind, step, epochs, alpha, beta, share, distance, np.nan, _norm(added), back))
    columns = ["kind", "step", "epochs", "alpha", "beta", "in_plane", "distance", "turn", "recovered_length", "way_back"]
    return pd.DataFrame(rows, columns=columns)


def _turn(gone: Tensor, way: Tensor) -> float:
    """Cosine of the displacement so far and the one that is left; 1 on a straight line, NaN at both ends.

    `way` is the whole displacement, so the one left is way - gone. gone, way: (P,).
    """
    return cosine(gone, way - gone)


def cosine(first: Tensor, second: Tensor) -> float:
    """Of two vectors (P,); NaN where one is zero."""
    lengths = _norm(first) * _norm(second)
    return _inner(first, second) / lengths if lengths else float("nan")


def grid_frame(scores: Scores, alphas: NDArray[np.float64], betas: NDArray[np.float64]) -> pd.DataFrame:
    """One row a point of the grid: coordinates, losses and their standard errors."""
    alpha, beta = np.meshgrid(alphas, betas)
    frame = pd.DataFrame({"kind": "grid", "weights": ALL, "step": -1, "alpha": alpha.ravel(), "beta": beta.ravel()})
    for task, split in SPLITS.items():
        loss, error = scores.loss(split)
        frame[f"{task}_loss"], frame[f"{task}_error"] = loss.ravel(), error.ravel()
    return frame.assign(mean_loss=(frame["task0_loss"] + frame["task1_loss"]) / 2)
