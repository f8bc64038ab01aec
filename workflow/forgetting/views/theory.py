"""The propositions of the paper, put to the test layer by layer (docs/views.md).

1. An update orthogonal to the leading directions of a layer's input shifts its output nearly orthogonally to its leading principal
   components. Measured for every linear map of every block: how much of the update acts on the leading input directions, and how much of
   the output's shift, with the inputs as they were, goes along the leading output components.
2. Shifts accumulate with depth. Measured: the shift of the residual stream by layer.
3. Freezing the bottom n layers lowers the shift. Measured: the same, beside a bound that follows from the parts of each layer's shift.

All at the last prompt token of `task0_test` questions; everything is independent of the signs of eigenvectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.analysis.propositions import SPLIT
from forgetting.config.jobs.views.states import StatesJob
from forgetting.data.items import Items
from forgetting.data.points import TASK1_EARLY, TASK1_END, TASK1_MATCHED
from forgetting.model.anatomy import Anatomy
from forgetting.views.alignment import alignment, row_directions, with_random_update
from forgetting.views.depth import Row, measure_stream, stream_shifts
from forgetting.views.inputs import evenly_spaced_units, read_model
from forgetting.views.measured import Measured, is_constant

STAGES = (TASK1_EARLY, TASK1_MATCHED, TASK1_END)
"""Checkpoints whose shift from `task0` is measured."""
MOST_UNITS = 100
"""The inputs of every linear map are held in memory: 0.2 GB with twelve layers of width 768."""


@dataclass(frozen=True)
class LinearMap:
    """One linear map before the update: y = `weight` x, weight (d_out, d_in), and its inputs x (n, d_in) for the questions."""

    inputs: Tensor
    weight: Tensor
    components: int

    @cached_property
    def leading_inputs(self) -> Tensor:
        """(d_in, k): not centred, since an update acts on the mean of the inputs, too."""
        return row_directions(self.inputs, self.components)

    @cached_property
    def leading_outputs(self) -> Tensor | None:
        """Leading principal components of the outputs (d_out, k); None when all questions have the same one."""
        outputs = self.inputs @ self.weight.T
        return None if is_constant(outputs) else row_directions(outputs - outputs.mean(0), self.components)

    def compare(self, change: Tensor, units: NDArray[np.integer]) -> dict[str, Measured]:
        """What the update `change` (d_out, d_in) does. Empty for a map that was not updated.

        update_on_leading_inputs: share of its squared norm that acts on the leading input directions. input_energy: share of the inputs'
        squared length there. mean_shift_along and single_shifts_along: share of the squared length of the outputs' shift along the leading
        output components, of the mean and over all questions. Chance: random singular vectors (on the input side for the first, on the
        output side for the others).
        """
        if not change.any():
            return {}
        inputs, energies = self.leading_inputs, torch.linalg.svdvals(change).square()
        measured = {
            "update_on_leading_inputs": with_random_update(
                Measured(float((change @ inputs).square().sum() / energies.sum())), energies, inputs.shape[1], len(inputs)
            ),
            "input_energy": Measured(float((self.inputs @ inputs).square().sum() / self.inputs.square().sum())),
        }
        if self.leading_outputs is not None:
            measured |= alignment(self.inputs @ change.T, self.leading_outputs, units)
        return measured


@contextmanager
def _recorded_inputs(model: PreTrainedModel) -> Iterator[dict[str, Tensor]]:
    """Collect what goes into every linear map of the blocks, by the name of its weight."""
    inputs: dict[str, Tensor] = {}
    handles = [
        module.register_forward_pre_hook(lambda _, given, key=name: inputs.update({key: given[0]}))
        for _, name, module in Anatomy(model.config).maps(model)
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def map_inputs(model: PreTrainedModel, questions: Items, batch_size: int) -> dict[str, Tensor]:
    """Inputs (n, d_in) of the linear maps at the last prompt token, by the name of the map's weight, on the CPU."""
    device = next(model.parameters()).device
    parts: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(questions)).split(batch_size):
        last = questions.prompt_length[rows] - 1
        with _recorded_inputs(model) as inputs:
            model.base_model(input_ids=questions.ids[rows, : int(last.max()) + 1].to(device), use_cache=False)
        for name, given in inputs.items():
            parts.setdefault(name, []).append(given[torch.arange(len(rows)), last].cpu())
    return {name: torch.cat(of_map) for name, of_map in parts.items()}


def map_weights(model: PreTrainedModel) -> Iterator[tuple[str, int, str, Tensor]]:
    """Every matrix of every block, one component after the other: the name of the weight that holds it, its block (1 is the first), what
    it is, and itself (d_out, d_in), float64 on the CPU."""
    anatomy = Anatomy(model.config)
    for layer, name, module in sorted(anatomy.maps(model), key=lambda found: anatomy.components.index(anatomy.components_of(found[1])[0])):
        weight = module.get_parameter("weight").detach().double().cpu()
        for component, part in anatomy.split(name, weight).items():
            yield name, layer + 1, component, part


def linear_maps(model: PreTrainedModel, questions: Items, components: int, batch_size: int) -> dict[tuple[int, str], LinearMap]:
    """The maps of every block with their inputs, by block (1 is the first) and component."""
    inputs = {name: given.double() for name, given in map_inputs(model, questions, batch_size).items()}
    return {(layer, component): LinearMap(inputs[name], weight, components) for name, layer, component, weight in map_weights(model)}


def measure_maps(maps: Mapping[tuple[int, str], LinearMap], after: PreTrainedModel, units: NDArray[np.integer]) -> list[Row]:
    """Rows on every linear map that the training up to `after` has updated."""
    rows: list[Row] = []
    for _, layer, component, weight in map_weights(after):
        found = maps[layer, component].compare(weight - maps[layer, component].weight, units)
        rows += [(layer, component, metric, numbers) for metric, numbers in found.items()]
    return rows


def theory(job: StatesJob, folders: Mapping[str, Path], questions: Items, device: torch.device) -> pd.DataFrame:
    """What the propositions say something about, for every stage that `folders` (saved models by name, `task0` among them) has: rows of
    THEORY. Two models are in memory at a time."""
    components, batch_size = job.components, job.evaluation_batch_size
    before = read_model(folders["task0"], device)
    asked = evenly_spaced_units(questions.of(SPLIT), MOST_UNITS)
    maps = linear_maps(before, asked, components, batch_size)
    rows: list[tuple[object, ...]] = []
    for stage in (stage for stage in STAGES if stage in folders):
        after = read_model(folders[stage], device)
        found = measure_maps(maps, after, asked.unit)
        found += measure_stream(*stream_shifts(before, after, asked, batch_size), components, asked.unit)
        rows += [(stage, layer, component, metric, *numbers) for layer, component, metric, numbers in found]
    columns = ["after", "layer", "component", "metric", *Measured._fields]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm, split=SPLIT)
