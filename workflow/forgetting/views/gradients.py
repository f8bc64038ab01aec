"""Do the two tasks pull the weights in opposed directions while Task 1 is learned? The cosine of their gradients at each checkpoint.

A gradient is that of the mean loss over the answer tokens (with the end token) of some questions, in evaluation mode and float32. Every
cosine here is between gradients of equally many questions, about half of the sampled units of each task, so that what the choice of
units takes from a cosine is taken from all alike: two halves of one task show the most that any two gradients could have in common (the
ceiling), Task 0 and Task 1 with other units' answers what the mere form of questions and answers gives (the floor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.config.jobs.views.gradients import GradientsJob
from forgetting.data.items import Items
from forgetting.model.anatomy import Anatomy
from forgetting.training.batches import question_batch
from forgetting.training.step import BatchLoss
from forgetting.views.inputs import Checkpoints, evenly_spaced_units, read_model
from forgetting.views.parts import BLOCK, NORM, SEVERAL, layer_of

LATEST = 200
"""The last of the early steps at which gradients are compared; of the later checkpoints only the end is."""
UNITS = 30
"""Of each task, evenly spaced over those that it trains on: 180 questions, in two halves of 15 units."""
TASKS = {"task0": "task0_train", "task1": "task1"}
"""The splits whose questions make the gradient of each task."""
COMPARISONS = {
    "task0_task1": ("task0", "task1"),
    "task0_shuffled": ("task0", "shuffled"),
    "task0_halves": ("task0", "task0"),
    "task1_halves": ("task1", "task1"),
}
"""Name of a cosine: the two gradients. shuffled: of Task 1 questions whose answers are those of other units."""
ALL, BLOCKS = "all", "blocks"
Halves = tuple[Items, Items]


def halves(questions: Items, units: int = UNITS) -> Halves:
    """The questions of every other one of `units` evenly spaced units, and those of the units between them."""
    asked = evenly_spaced_units(questions, units)
    everyone = np.unique(asked.unit)
    return asked.of_units(everyone[::2]), asked.of_units(everyone[1::2])


def sampled(questions: Items, seed: int) -> dict[str, Halves]:
    """The two halves of the questions of task0, task1 and shuffled."""
    found = {task: halves(questions.of(split)) for task, split in TASKS.items()}
    first, second = (half.with_shuffled_answers(seed) for half in found["task1"])
    return found | {"shuffled": (first, second)}


def gradient(model: PreTrainedModel, questions: Items, batch_size: int) -> dict[str, Tensor]:
    """Gradient of the mean loss (nats an answer token) over all of the questions by parameter name, in the shapes of the parameters.

    Leaves the weights, their `grad` and the mode of the model as they were; a model in training mode would drop units at random.
    """
    weights = dict(model.named_parameters())
    loss, tokens = BatchLoss(model), int(questions.answer_length.sum())
    total = [torch.zeros_like(weight) for weight in weights.values()]
    for rows in torch.arange(len(questions)).split(batch_size):
        batch = question_batch(questions, rows.numpy())
        mean_loss = loss(batch) * (len(batch.row) / tokens)
        for summed, part in zip(total, torch.autograd.grad(mean_loss, list(weights.values())), strict=True):
            summed += part
    return dict(zip(weights, total, strict=True))


def products(gradients: Sequence[Mapping[str, Tensor]], anatomy: Anatomy) -> dict[tuple[str, int], Tensor]:
    """Inner products of all pairs of gradients, (n, n) in float64, by part and layer; (all, -1) and (blocks, -1) are sums of these.
    The final norm is of no other part."""
    found: dict[tuple[str, int], Tensor] = {}
    for name in gradients[0]:
        stacked = torch.stack([each[name].flatten() for each in gradients]).double()
        product_of_name = (stacked @ stacked.T).cpu()
        part, layer = layer_of(name, anatomy)
        places = {(ALL, SEVERAL)} | ({(part, layer)} if part != NORM else set()) | ({(BLOCKS, SEVERAL)} if part == BLOCK else set())
        for place in places:
            found[place] = found.get(place, torch.zeros_like(product_of_name)) + product_of_name
    return found


def cosines(gram: Tensor) -> dict[str, float]:
    """Each of COMPARISONS from the inner products (6, 6) of the two half gradients of task0, task1 and shuffled, in that order: of two
    tasks the mean over the four pairs of halves, of one task that of its two halves. NaN where a gradient is zero."""
    norms = gram.diagonal().clamp_min(0).sqrt()
    cosine = gram / torch.outer(norms, norms)
    place = {"task0": (0, 1), "task1": (2, 3), "shuffled": (4, 5)}
    found = {}
    for name, (one, other) in COMPARISONS.items():
        pairs = [place[one]] if one == other else list(product(place[one], place[other]))
        found[name] = float(torch.stack([cosine[pair] for pair in pairs]).mean())
    return found


def compared_steps(checkpoints: Checkpoints) -> list[int]:
    """The checkpoints of the first steps, the end of Task 0 among them, and the last one."""
    return [step for step in checkpoints.steps if step <= LATEST or step == checkpoints.last]


def gradients(job: GradientsJob, checkpoints: Checkpoints, questions: Items, device: torch.device) -> pd.DataFrame:
    """Rows of GRADIENTS for each of `compared_steps`; one model is in memory at a time."""
    asked = sampled(questions, job.seed)
    rows: list[tuple[object, ...]] = []
    for step in compared_steps(checkpoints):
        model = read_model(checkpoints.folders[step], device)
        found = [gradient(model, half, job.evaluation_batch_size) for pair in asked.values() for half in pair]
        for (part, layer), gram in products(found, Anatomy(model.config)).items():
            rows += [(step, part, layer, comparison, value) for comparison, value in cosines(gram).items()]
    frame = pd.DataFrame(rows, columns=["step", "part", "layer", "comparison", "value"])
    questions_of_half = min(len(half) for pair in asked.values() for half in pair)
    frame = frame.assign(scale=job.scale, seed=job.seed, arm=job.arm, n=questions_of_half)
    return frame.sort_values(["step", "layer", "part"], kind="stable", ignore_index=True)
