"""How the representation of the questions moves (science §5): the residual stream at the last prompt token, compared between checkpoints.

States are taken after the embedding (layer 0) and after each block i (layer i), always before the final norm. Everything that is measured
is independent of the signs of eigenvectors.
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
from transformers import GPTNeoXForCausalLM

from forgetting.run import Run
from forgetting.subspaces import chance_principal_angle, leading_directions, principal_angle
from forgetting.tokens import Questions
from forgetting.views.inputs import evenly_spaced_persons, read_model
from forgetting.views.probe import answer_labels, probe

PAIRS = (("pretrained", "task0"), ("task0", "task1_early"), ("task0", "task1_end"), ("task1_early", "task1_end"))
"""(before, after) checkpoints that are compared; `task1_early` is step 150."""
GROUPS = ("task0_test", "task1")
POINTS_GROUP, POINTS_ATTRIBUTE = "task0_test", "university"
POINTS_CHECKPOINTS = ("task0", "task1_early", "task1_end")
MOST_PERSONS = 2000
"""Of a group: the states of every layer at a checkpoint are held in memory (1 GB with twelve layers of width 768)."""
NOT_A_NUMBER = float("nan")
_CONSTANT = 1e-6
"""States whose deviation is below this share of their norm differ by rounding only."""


@contextmanager
def _recorded_outputs(model: GPTNeoXForCausalLM) -> Iterator[list[Tensor]]:
    """Collect what the embedding and each block put out, in order. (transformers' own `hidden_states` end with the normed ones.)"""
    outputs: list[Tensor] = []

    def record(module: torch.nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handles = [module.register_forward_hook(record) for module in (model.gpt_neox.embed_in, *model.gpt_neox.layers)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def residual_stream(model: GPTNeoXForCausalLM, questions: Questions, batch_size: int) -> Tensor:
    """States at the last prompt token: (layers + 1, n, d) float32 on the CPU, in the order of `questions`."""
    device = next(model.parameters()).device
    states = torch.empty(len(model.gpt_neox.layers) + 1, len(questions), model.config.hidden_size)
    for rows in torch.argsort(questions.prompt_length, stable=True).split(batch_size):
        length = questions.prompt_length[rows]
        ids = questions.ids[rows, : int(length.max())].to(device)
        with _recorded_outputs(model) as outputs:
            model.gpt_neox(input_ids=ids, use_cache=False)
        states[:, rows] = torch.stack([output[torch.arange(len(rows)), length - 1] for output in outputs]).cpu()
    return states


def residual_streams(folders: Mapping[str, Path], questions: Questions, batch_size: int, device: torch.device) -> dict[str, Tensor]:
    """`residual_stream` of each saved model, one model in memory at a time."""
    return {name: residual_stream(read_model(folder, device), questions, batch_size) for name, folder in folders.items()}


def view_questions(questions: Questions, most_persons: int = MOST_PERSONS) -> Questions:
    """Those of both groups, about all persons of each, or about `most_persons` evenly spaced ones.

    `evaluation.persons_per_group` is no limit here: a probe can only name values that occur in its fitted half, so few persons bound it.
    """
    groups = [evenly_spaced_persons(questions.of_groups(group), most_persons) for group in GROUPS]
    return questions.of_persons(np.concatenate([group.person for group in groups]))


def compare_states(before: Tensor, after: Tensor, components: int) -> dict[str, tuple[float, float]]:
    """The same n questions at two checkpoints, (n, d) each: (value, chance) of each metric.

    relative_shift: norm of the mean's shift over the root mean squared deviation of the states before. shift_along_leading: share of that
    shift's squared norm along the `components` leading principal components of the states before (chance k / d; the rest goes across
    them). subspace_angle: mean principal angle between the leading components before and after. cka: linear centred kernel alignment (its
    chance level is the exact mean over permutations of the questions). NaN where states do not vary, or where nothing shifted.
    """
    before, after = before.double(), after.double()
    names = ("relative_shift", "shift_along_leading", "subspace_angle", "cka")
    if _is_constant(before) or _is_constant(after):
        return dict.fromkeys(names, (NOT_A_NUMBER, NOT_A_NUMBER))
    shift = after.mean(0) - before.mean(0)
    centred, centred_after = before - before.mean(0), after - after.mean(0)
    scatter, scatter_after = centred.T @ centred, centred_after.T @ centred_after
    count, width = before.shape
    kept = min(components, count - 1, width)
    leading, leading_after = leading_directions(scatter)[0][:, :kept], leading_directions(scatter_after)[0][:, :kept]
    alignment_scale = float(scatter.norm() * scatter_after.norm())
    shift_energy = float(shift.square().sum())
    along = float((leading.T @ shift).square().sum()) / shift_energy if shift_energy else NOT_A_NUMBER
    measured = (
        ((shift_energy / (float(scatter.trace()) / count)) ** 0.5, NOT_A_NUMBER),
        (along, kept / width),
        (principal_angle(leading, leading_after), chance_principal_angle(kept, width)),
        (
            float((centred.T @ centred_after).square().sum()) / alignment_scale,
            float(scatter.trace() * scatter_after.trace()) / ((count - 1) * alignment_scale),
        ),
    )
    return dict(zip(names, measured, strict=True))


def _is_constant(states: Tensor) -> bool:
    deviation = (states - states.mean(0)).square().mean()
    return bool(deviation <= _CONSTANT**2 * states.square().mean())


def features(run: Run, states: Mapping[str, Tensor], questions: Questions) -> pd.DataFrame:
    """Every comparison and probe: rows of FEATURES.

    `states`: for the checkpoints pretrained, task0, task1_early and task1_end, the (layers + 1, n, d) states of `questions`.
    """
    components = run.need("views").components
    rows: list[tuple[object, ...]] = []
    attributes = np.unique(questions.attribute)
    for group, attribute in product(GROUPS, ("all", *attributes)):
        asked = questions.group == group
        if attribute != "all":
            asked &= questions.attribute == attribute
        index = torch.from_numpy(np.flatnonzero(asked))
        for (before, after), layer in product(PAIRS, range(len(states["task0"]))):
            measured = compare_states(states[before][layer, index], states[after][layer, index], components)
            rows += [(before, after, layer, group, attribute, metric, *numbers) for metric, numbers in measured.items()]
        if attribute != "all":
            labels, persons = answer_labels(questions.select(asked), attribute), questions.person[asked]
            for (checkpoint, stack), layer in product(states.items(), range(len(states["task0"]))):
                measured = probe(stack[layer, index], persons, labels)
                rows += [(checkpoint, checkpoint, layer, group, attribute, metric, *numbers) for metric, numbers in measured.items()]
    columns = ["before", "after", "layer", "group", "attribute", "metric", "value", "chance"]
    return pd.DataFrame(rows, columns=columns).assign(scale=run.scale, seed=run.seed, arm=run.arm)


def shift_plane(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Origin (d,) and axes (d, 2) of the picture: the mean of the states before, their leading principal component, and the direction in
    which the mean shifts, orthogonal to it (zero when nothing shifted)."""
    origin = before.mean(0)
    leading = leading_directions((before - origin).T @ (before - origin))[0][:, 0]
    shift = after.mean(0) - origin
    across = shift - (shift @ leading) * leading
    return origin, torch.stack([leading, across / across.norm().clamp_min(torch.finfo(across.dtype).tiny)], dim=1)


def feature_points(run: Run, states: Mapping[str, Tensor], steps: Mapping[str, int], questions: Questions) -> pd.DataFrame:
    """Where single questions (university, `task0_test`) stand in the plane of `shift_plane` from task0 to task1_early: rows of
    FEATURE_POINTS.

    For the layer at three quarters of the depth and the last one. `steps`: the Task 1 step of each checkpoint.
    """
    shown = (questions.group == POINTS_GROUP) & (questions.attribute == POINTS_ATTRIBUTE)
    index = torch.from_numpy(np.flatnonzero(shown))
    depth = len(states["task0"]) - 1
    frames = []
    for layer in sorted({max(1, 3 * depth // 4), depth}):
        here = {name: states[name][layer, index].double() for name in POINTS_CHECKPOINTS}
        origin, axes = shift_plane(here["task0"], here["task1_early"])
        for name, points in here.items():
            coordinates: NDArray[np.float64] = ((points - origin) @ axes).numpy()
            frame = pd.DataFrame(coordinates, columns=["leading_component", "mean_shift"])
            frames.append(frame.assign(step=steps[name], layer=layer, person=questions.person[shown]))
    run_columns = {"scale": run.scale, "seed": run.seed, "arm": run.arm}
    return pd.concat(frames, ignore_index=True).assign(group=POINTS_GROUP, attribute=POINTS_ATTRIBUTE, **run_columns)
