"""How the representation of the questions moves (docs/views.md): the residual stream at the last prompt token, compared between
checkpoints.

States are taken after the embedding (layer 0) and after each block i (layer i), always before the final norm. Nothing that is measured
between checkpoints changes when both turn by the same rotation or when eigenvectors change sign; the alignment of kernels (cka) does not
change either when each turns by a rotation of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.config.jobs.views.states import StatesJob
from forgetting.data.items import Items
from forgetting.data.points import TASK1_EARLY, TASK1_END, TASK1_MATCHED
from forgetting.model.anatomy import Anatomy
from forgetting.subspaces import chance_principal_angle, leading_directions, principal_angle
from forgetting.views.answer_change import compared_points
from forgetting.views.inputs import Checkpoints, evenly_spaced_units, read_model
from forgetting.views.logit_lens import Ranks, Values, lens_ranks, measure_lens
from forgetting.views.measured import NOT_A_NUMBER, Measured, is_constant, squared_lengths, unit_means, with_interval

PAIRS = (
    ("pretrained", "task0"),
    ("task0", TASK1_EARLY),
    ("task0", TASK1_MATCHED),
    ("task0", TASK1_END),
    (TASK1_EARLY, TASK1_END),
)
"""(before, after) checkpoints that are compared."""
SPLITS = ("task0_test", "task1")
READ_SPLITS = (*SPLITS, "control")
"""Splits whose values the logit lens reads off: of `control` units nothing can be known."""
POINTS_SPLIT, POINTS_KIND = "task0_test", "university"
POINTS_CHECKPOINTS = ("task0", TASK1_EARLY, TASK1_END)
MOST_UNITS = 2000
"""Of a split: the states of every layer at a checkpoint are held in memory (0.5 GB a split with twelve layers of width 768)."""
MOST_LENS_UNITS = 200
"""Of a split, for the logit lens, which meets the whole vocabulary at every layer."""


def stage_folders(task1: Checkpoints, matched: float) -> dict[str, Path]:
    """`task0` and the points of Task 1 (`compared_points`), `task1_early` and so on, of an arm."""
    return {"task0": task1.folders[0]} | {f"task1_{point.name}": point.folder for point in compared_points(task1, matched)}


@contextmanager
def recorded_outputs(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collect what the embedding and each block put out, in order. (transformers' own `hidden_states` end with the normed ones.)

    What the embedding puts out is what the first block is called with, before any hook that was registered later changes it.
    """
    outputs: list[Tensor] = []

    def record(module: torch.nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    blocks = Anatomy(model.config).blocks(model)
    handles = [blocks[0].register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0]))]
    handles += [block.register_forward_hook(record) for block in blocks]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def residual_stream(model: PreTrainedModel, questions: Items, batch_size: int) -> Tensor:
    """States at the last prompt token: (layers + 1, n, d) on the CPU, in the order of `questions` and the precision of the model."""
    device = next(model.parameters()).device
    states = torch.empty(Anatomy(model.config).layers + 1, len(questions), model.config.hidden_size, dtype=model.dtype)
    for rows in torch.argsort(questions.prompt_length, stable=True).split(batch_size):
        length = questions.prompt_length[rows]
        ids = questions.ids[rows, : int(length.max())].to(device)
        with recorded_outputs(model) as outputs:
            model.base_model(input_ids=ids, use_cache=False)
        states[:, rows] = torch.stack([output[torch.arange(len(rows)), length - 1] for output in outputs]).cpu()
    return states


def residual_streams(folders: Mapping[str, Path], questions: Items, batch_size: int, device: torch.device) -> dict[str, Tensor]:
    """`residual_stream` of each saved model, one model in memory at a time."""
    return {name: residual_stream(read_model(folder, device), questions, batch_size) for name, folder in folders.items()}


def view_questions(questions: Items, most_units: int = MOST_UNITS) -> Items:
    """Those of READ_SPLITS, about all units of each, or about `most_units` evenly spaced ones."""
    kept = [evenly_spaced_units(questions.of(split), most_units).unit for split in READ_SPLITS]
    return questions.of_units(np.concatenate(kept))


def compare_states(before: Tensor, after: Tensor, components: int, units: NDArray[np.integer]) -> dict[str, Measured]:
    """The same n questions at two checkpoints, (n, d) each.

    relative_shift: length of the mean shift (`squared_lengths`) over the root mean squared deviation of the states before.
    relative_shift_along and relative_shift_across: its parts along and across the `components` leading principal components of the
    states before. shift_along_leading: the share of its squared norm that goes along them (chance k / d). subspace_angle: mean
    principal angle between the leading components before and after. cka: linear centred kernel alignment (its chance level is the exact
    mean over permutations of the questions). Intervals resample `units` (n,) for the shifts, holding components and deviation; angle
    and alignment have none. NaN where states do not vary, or where nothing shifted.
    """
    before, after = before.double(), after.double()
    names = ("relative_shift", "relative_shift_along", "relative_shift_across", "shift_along_leading", "subspace_angle", "cka")
    if is_constant(before) or is_constant(after):
        return dict.fromkeys(names, Measured(NOT_A_NUMBER))
    centred, centred_after = before - before.mean(0), after - after.mean(0)
    scatter, scatter_after = centred.T @ centred, centred_after.T @ centred_after
    count, width = before.shape
    kept = min(components, count - 1, width)
    leading, leading_after = leading_directions(scatter)[0][:, :kept], leading_directions(scatter_after)[0][:, :kept]
    spread = (float(scatter.trace()) / count) ** 0.5
    shifts = unit_means(after - before, units)
    inside = shifts @ leading
    along, across = squared_lengths(inside), squared_lengths(shifts - inside @ leading.T)
    alignment_scale = float(scatter.norm() * scatter_after.norm())
    alignment = float((centred.T @ centred_after).square().sum()) / alignment_scale
    measured = (
        with_interval((along + across).sqrt() / spread),
        with_interval(along.sqrt() / spread),
        with_interval(across.sqrt() / spread),
        with_interval(along / (along + across), chance=kept / width),
        Measured(principal_angle(leading, leading_after), chance=chance_principal_angle(kept, width)),
        Measured(alignment, chance=float(scatter.trace() * scatter_after.trace()) / ((count - 1) * alignment_scale)),
    )
    return dict(zip(names, measured, strict=True))


def features(job: StatesJob, states: Mapping[str, Tensor], questions: Items) -> pd.DataFrame:
    """Every comparison of two checkpoints: rows of FEATURES.

    `states`: the (layers + 1, n, d) states of `questions` at `pretrained` and the stages of `stage_folders`; pairs with one that
    is missing are left out.
    """
    rows: list[tuple[object, ...]] = []
    for split, kind in product(SPLITS, ("all", *np.unique(questions.kind))):
        index = np.flatnonzero((questions.split == split) & ((questions.kind == kind) | (kind == "all")))
        for before, after in (pair for pair in PAIRS if set(pair) <= set(states)):
            for layer, (here, there) in enumerate(zip(states[before][:, index], states[after][:, index], strict=True)):
                measured = compare_states(here, there, job.components, questions.unit[index])
                rows += [(before, after, layer, split, kind, metric, *numbers[:4]) for metric, numbers in measured.items()]
    return _table(job, rows)


def lens_features(job: StatesJob, ranks: Mapping[str, Ranks], questions: Items, values: Values) -> pd.DataFrame:
    """The logit lens at every checkpoint, for each split, kind and all kinds together: rows of FEATURES.

    `ranks`: of `questions`, by checkpoint.
    """
    rows: list[tuple[object, ...]] = []
    for split, kind in product(READ_SPLITS, ("all", *np.unique(questions.kind))):
        index = np.flatnonzero((questions.split == split) & ((questions.kind == kind) | (kind == "all")))
        for checkpoint, found in ranks.items():
            chosen = Ranks(found.among_values[:, index], found.among_vocabulary[:, index])
            for layer, metric, numbers in measure_lens(chosen, questions.select(index), values):
                rows.append((checkpoint, checkpoint, layer, split, kind, metric, *numbers[:4]))
    return _table(job, rows)


def lens(
    job: StatesJob, folders: Mapping[str, Path], states: Mapping[str, Tensor], questions: Items, values: Values, device: torch.device
) -> pd.DataFrame:
    """`lens_features` of the saved models in `folders`, one in memory at a time, about at most MOST_LENS_UNITS units of a split.

    `states`: those of `questions` by checkpoint. `values`: `kind_values` of all units there are.
    """
    few = view_questions(questions, MOST_LENS_UNITS)
    index = np.flatnonzero(np.isin(questions.unit, few.unit))
    ranks = {
        name: lens_ranks(read_model(folder, device), states[name][:, index], few, values, job.evaluation_batch_size)
        for name, folder in folders.items()
    }
    return lens_features(job, ranks, few, values)


def _table(job: StatesJob, rows: list[tuple[object, ...]]) -> pd.DataFrame:
    columns = ["before", "after", "layer", "split", "kind", "metric", "value", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm)


def shift_plane(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Origin (d,) and axes (d, 2) of the picture: the mean of the states before, their leading principal component, and the direction in
    which the mean shifts, orthogonal to it (zero when nothing shifted)."""
    origin = before.mean(0)
    leading = leading_directions((before - origin).T @ (before - origin))[0][:, 0]
    shift = after.mean(0) - origin
    across = shift - (shift @ leading) * leading
    return origin, torch.stack([leading, across / across.norm().clamp_min(torch.finfo(across.dtype).tiny)], dim=1)


def feature_points(job: StatesJob, states: Mapping[str, Tensor], steps: Mapping[str, int], questions: Items) -> pd.DataFrame:
    """Where single questions (university, `task0_test`) stand in the plane of `shift_plane` from task0 to task1_early: rows of
    FEATURE_POINTS.

    For the layer at three quarters of the depth and the last one. `steps`: the Task 1 step of each checkpoint.
    """
    shown = (questions.split == POINTS_SPLIT) & (questions.kind == POINTS_KIND)
    index = torch.from_numpy(np.flatnonzero(shown))
    depth = len(states["task0"]) - 1
    frames = []
    for layer in sorted({max(1, 3 * depth // 4), depth}):
        here = {name: states[name][layer, index].double() for name in POINTS_CHECKPOINTS}
        origin, axes = shift_plane(here["task0"], here[TASK1_EARLY])
        for name, points in here.items():
            coordinates: NDArray[np.float64] = ((points - origin) @ axes).numpy()
            frame = pd.DataFrame(coordinates, columns=["leading_component", "mean_shift"])
            frames.append(frame.assign(step=steps[name], layer=layer, unit=questions.unit[shown]))
    run_columns = {"scale": job.scale, "seed": job.seed, "arm": job.arm}
    return pd.concat(frames, ignore_index=True).assign(split=POINTS_SPLIT, kind=POINTS_KIND, **run_columns)
