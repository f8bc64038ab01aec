"""What the propositions of the paper speak of, measured layer by layer (docs/views.md).

1. An update that writes nothing into the leading components of a layer's output shifts that output at nearly right angles to them.
   Measured: how much of the update of every matrix that writes to the residual stream goes into the leading components of the stream
   there, and how much of the stream's shift goes along them. What an update reads of its inputs says nothing about where it shifts them.
2. Shifts add up with depth. Measured: the shift of the residual stream by layer.
3. Freezing the bottom n layers makes the shift smaller, if the others move no further. Measured: the shift, beside a prediction from the
   parts of each layer's shift, and how far every matrix moved.

All at the last prompt token of `task0_test` questions; everything is independent of the signs of eigenvectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.config.jobs.views.states import StatesJob
from forgetting.data.items import Items
from forgetting.data.points import TASK1_EARLY, TASK1_END, TASK1_MATCHED
from forgetting.model.anatomy import WRITING, Anatomy
from forgetting.schemas.theory import SPLIT
from forgetting.views.alignment import row_directions, with_random_update
from forgetting.views.depth import Row, measure_stream, stream_shifts
from forgetting.views.inputs import evenly_spaced_units, read_model
from forgetting.views.measured import Measured, is_constant

STAGES = (TASK1_EARLY, TASK1_MATCHED, TASK1_END)
"""Checkpoints whose shift from `task0` is measured."""
MOST_UNITS = 100
"""The states of every layer are held in memory, before and after."""


def map_weights(model: PreTrainedModel) -> Iterator[tuple[int, str, Tensor]]:
    """Every matrix of every block: its block (1 is the first), what it is, and itself (d_out, d_in), float64 on the CPU."""
    anatomy = Anatomy(model.config)
    for layer, name, module in anatomy.maps(model):
        weight = module.get_parameter("weight").detach().double().cpu()
        for component, part in anatomy.split(name, weight).items():
            yield layer + 1, component, part


def written_along(change: Tensor, leading: Tensor) -> Measured:
    """Share of the squared norm of an update `change` (d, d_in) that it writes along `leading` (d, k): |V^T dW|^2 / |dW|^2.

    Chance: an update of the same singular values that writes in random directions.
    """
    energies = torch.linalg.svdvals(change).square()
    share = float((leading.T @ change).square().sum() / change.square().sum())
    return with_random_update(Measured(share), energies, leading.shape[1], len(leading))


def measure_updates(before: PreTrainedModel, after: PreTrainedModel, states: Tensor, components: int) -> list[Row]:
    """Rows on every matrix that the training up to `after` has updated; `states` (layers + 1, n, d): the residual stream before.

    update_norm: Frobenius norm of the update dW. Of a matrix that writes to the stream also written_along and written_along_first: see
    `written_along`, with the leading principal components, or the first one, of the stream after its block.
    """
    leading = [None if is_constant(layer) else row_directions(layer - layer.mean(0), components) for layer in states.double()]
    rows: list[Row] = []
    for (layer, component, old), (_, _, new) in zip(map_weights(before), map_weights(after), strict=True):
        change = new - old
        if not change.any():
            continue
        rows.append((layer, component, "update_norm", Measured(float(change.norm()))))
        directions = leading[layer]
        if component in WRITING and directions is not None:
            rows.append((layer, component, "written_along", written_along(change, directions)))
            rows.append((layer, component, "written_along_first", written_along(change, directions[:, :1])))
    return rows


def theory(job: StatesJob, folders: Mapping[str, Path], questions: Items, device: torch.device) -> pd.DataFrame:
    """What the propositions say something about, for every stage that `folders` (saved models by name, `task0` among them) has: rows of
    THEORY. Two models are in memory at a time."""
    before = read_model(folders["task0"], device)
    asked = evenly_spaced_units(questions.of(SPLIT), MOST_UNITS)
    rows: list[tuple[object, ...]] = []
    for stage in (stage for stage in STAGES if stage in folders):
        after = read_model(folders[stage], device)
        states, shift, own = stream_shifts(before, after, asked, job.evaluation_batch_size)
        found = measure_updates(before, after, states, job.components)
        found += measure_stream(states, shift, own, job.components, asked.unit)
        rows += [(stage, layer, component, metric, *numbers) for layer, component, metric, numbers in found]
    columns = ["after", "layer", "component", "metric", *Measured._fields]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm, split=SPLIT)
