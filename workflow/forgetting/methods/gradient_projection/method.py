"""Gradient projection: Task 1 may not move the weights in directions that matter to Task 0 (docs/definitions.md)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.methods.base import Method, Setting
from forgetting.methods.gradient_projection import WINDOW, Knobs
from forgetting.methods.gradient_projection.projection import Subspace, remove_along_, unit_rows
from forgetting.model.anatomy import Anatomy
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.step import Hooks

SEEDS_APART = 1000
"""The seeds of the runs behind the direction differ by this from each other and from that of the arm."""
QUESTIONS_AT_ONCE = 64
TINY = 1e-8
"""In place of the length of a direction that is zero, as torch's own cosine has it."""


class GradientProjection(Method):
    """One of three rules: `exact` and `gpm` project what the optimizer did, so that neither Adam's scaling nor momentum nor weight decay
    brings the removed part back; `reference` repeats the released code, defects included."""

    arm: Knobs

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        self.rule = RULES[self.arm.rule](self.arm, setting)
        self.stored_bytes, self.prepared_rows = self.rule.stored_bytes, self.rule.prepared_rows
        self.held_weights = self.rule.held_weights

    def trainable(self, name: str) -> bool:
        return self.rule.trainable(name)

    def on_gradient(self) -> None:
        self.rule.on_gradient()

    def on_update(self) -> None:
        self.rule.on_update()

    def after_task(self) -> dict[str, float]:
        return self.rule.numbers


class Rule(Hooks):
    """What the three rules report of themselves. `weights`: the parameters that they act on, by name, as views in which a row of a matrix
    belongs to one output. `held_weights`: see `Method`."""

    weights: dict[str, Tensor]
    stored_bytes: int
    prepared_rows: int
    numbers: dict[str, float]
    held_weights: int = 0


class UpdateRule(Rule):
    """Keeps a copy of `weights` from just before the optimizer acts."""

    before: dict[str, Tensor] | None = None

    @torch.no_grad()
    def on_gradient(self) -> None:
        if self.before is None:
            self.before = {name: torch.empty_like(weight) for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            self.before[name].copy_(weight)


class Exact(UpdateRule):
    """Takes the component along the alignment direction out of the update, row by row.

    What stays along it in float32 is the rounding of the weights, at most their last place, not of the update.
    """

    def __init__(self, arm: Knobs, setting: Setting) -> None:
        direction, self.prepared_rows = alignment_direction(setting, arm.runs)
        self.weights = rows_of(setting.model)
        self.unit = {name: unit_rows(value) for name, value in direction.items()}
        self.held_weights = sum(int(value.any(dim=-1).sum()) for value in self.unit.values())
        self.stored_bytes = size(self.unit)
        self.numbers = {"direction_norm": norm(direction)}

    @torch.no_grad()
    def on_update(self) -> None:
        assert self.before is not None
        for name, weight in self.weights.items():
            update = torch.sub(weight, self.before[name], out=self.before[name])
            remove_along_(weight, update, self.unit[name])


class Reference(Rule):
    """As released: what is subtracted from the gradient, not from the update, is the direction d at its own length times a factor.

    For a row g of a matrix the factor is cos(g, d), without the length of g; for a vector it is g . d / |d|, without another |d|. How
    much of the component along d goes away depends so on the lengths: all of it only where |g| = |d| (rows) or |d| = 1 (vectors).
    """

    def __init__(self, arm: Knobs, setting: Setting) -> None:
        self.direction, self.prepared_rows = alignment_direction(setting, arm.runs)
        self.model = setting.model
        self.stored_bytes = size(self.direction)
        self.numbers = {"direction_norm": norm(self.direction)}

    @torch.no_grad()
    def on_gradient(self) -> None:
        for name, gradient in rows_of(self.model, gradients=True).items():
            direction = self.direction[name]
            if gradient.ndim == 2:
                gradient.addcmul_(F.cosine_similarity(gradient, direction, dim=-1).unsqueeze(-1), direction, value=-1)
            else:
                gradient.sub_(direction * torch.dot(gradient, direction) / direction.norm().clamp_min(TINY))


class ProjectionMemory(UpdateRule):
    """Gradient Projection Memory (Saha et al. 2021), applied to the update: linear maps keep their outputs on the subspace that their
    inputs from Task 0 fill (`subspaces`).

    The inputs of an embedding are one-hot, so there the `rows` of the tokens (and, where these have an embedding, positions) of Task 0
    stay. Biases and norms (`vectors`) do not train; the original trains them on its first task only. `arm.hold` leaves some of the three
    out, so that it can be told which of them a gain is due to.

    In a sequence the subspaces of the earlier tasks are joined, each from the inputs at the weights after its task (section 5, step 3).
    """

    def __init__(self, arm: Knobs, setting: Setting) -> None:
        anatomy, parameters = Anatomy(setting.model.config), rows_of(setting.model)
        old = setting.old
        moments = moments_of_tasks(setting) if "subspaces" in arm.hold else {}
        self.prepared_rows = len(old) if moments else 0
        self.subspaces = {name: Subspace.joined(of_tasks, arm.energy, parameters[name].dtype) for name, of_tasks in moments.items()}
        device = setting.model.device
        seen = [rows.to(device) for rows in seen_rows(old)] if "rows" in arm.hold else []
        self.rows = dict(zip(anatomy.embeddings, seen, strict=False))
        self.still = {name for name, weight in parameters.items() if weight.ndim < 2 and "vectors" in arm.hold}
        self.weights = {name: parameters[name] for name in [*self.rows, *self.subspaces]}
        for name, weight in self.weights.items():  # an embedding that is tied to the output has both, and a row that stays stays whole
            rank = self.subspaces[name].rank if name in self.subspaces else 0
            rows = len(self.rows.get(name, ()))
            self.held_weights += rows * weight.shape[1] + (len(weight) - rows) * rank
        stored = [subspace.basis for subspace in self.subspaces.values()] + list(self.rows.values())
        self.stored_bytes = sum(tensor.nbytes for tensor in stored)
        self.numbers = {}
        if self.subspaces:
            self.numbers = {"protected_share": sum(subspace.share for subspace in self.subspaces.values()) / len(self.subspaces)}

    def trainable(self, name: str) -> bool:
        return name not in self.still

    @torch.no_grad()
    def on_update(self) -> None:
        assert self.before is not None
        for name, subspace in self.subspaces.items():
            subspace.protect_(self.weights[name], self.before[name])
        for name, rows in self.rows.items():
            self.weights[name].index_copy_(0, rows, self.before[name][rows])


RULES: dict[str, Callable[[Knobs, Setting], Rule]] = {"exact": Exact, "gpm": ProjectionMemory, "reference": Reference}


def rows_of(model: PreTrainedModel, gradients: bool = False) -> dict[str, Tensor]:
    """All parameters by name, or their gradients, as views in which a row of a matrix belongs to one output."""
    anatomy, found = Anatomy(model.config), {}
    for name, parameter in model.named_parameters():
        values = parameter.grad if gradients else parameter.detach()
        assert values is not None
        found[name] = anatomy.by_output(name, values)
    return found


def alignment_direction(setting: Setting, repeats: int) -> tuple[dict[str, Tensor], int]:
    """Displacement of all `rows_of` the model within WINDOW, as the mean of `repeats` runs of plain Task 1 training with data orders of
    their own, and the questions that these runs saw. The model of `setting` stays as it is."""
    direction = {name: torch.zeros_like(weight) for name, weight in rows_of(setting.model).items()}
    rows = 0
    for repeat in range(repeats):
        start, end, seen = window_ends(setting, setting.seed + SEEDS_APART * (repeat + 1))
        for name, value in direction.items():
            value.add_(end[name] - start[name], alpha=1 / repeats)
        rows += seen
    return direction, rows


def window_ends(setting: Setting, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """All parameters at both ends of WINDOW, in a run whose order of questions `seed` gives, and how many questions it saw."""
    model = copy.deepcopy(setting.model)
    batches = QuestionBatches(setting.task1.questions, setting.task1.order.batch_size, seed)

    def snapshot(step: int) -> dict[str, Tensor]:
        return {name: weight.clone() for name, weight in rows_of(model).items()}

    training = setting.training
    plan = Plan(
        WINDOW[1],
        batches,
        training.optimizer,
        training.schedule,
        frozenset(WINDOW),
        snapshot,
        setting.precision,
        schedule_steps=training.steps,
    )
    history = train(model, plan)
    start, end = (history.evaluations[str(step)] for step in WINDOW)
    return start, end, history.rows


def moments_of_tasks(setting: Setting) -> dict[str, list[Tensor]]:
    """By the name of a weight `input_moments` of every task that was learned, each on its own questions and at the weights after it."""
    found: dict[str, list[Tensor]] = {}
    for model, questions in zip(setting.former_models(), setting.former, strict=True):
        for name, moment in input_moments(model, questions).items():
            found.setdefault(name, []).append(moment)
    return found


@torch.no_grad()
def input_moments(model: PreTrainedModel, questions: Items) -> dict[str, Tensor]:
    """X^T X (in, in), float64, of the inputs X of every linear map, by the name of its weight: all tokens of prompts and answers."""
    maps = {name: module for _, name, module in Anatomy(model.config).maps(model)}
    output = next(name for name, weight in model.named_parameters() if weight is model.get_output_embeddings().weight)
    widths = {name: weight.shape[1] for name, weight in rows_of(model).items() if name in maps or name == output}
    device = model.device
    inputs: dict[str, Tensor] = {}
    moments = {name: torch.zeros(width, width, dtype=torch.float64, device=device) for name, width in widths.items()}

    def keep(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, arguments: Any) -> None:
            inputs[name] = arguments[0]

        return hook

    handles = [module.register_forward_pre_hook(keep(name)) for name, module in maps.items()]
    try:
        for ids, real in zip(questions.ids.split(QUESTIONS_AT_ONCE), real_tokens(questions).split(QUESTIONS_AT_ONCE), strict=True):
            # Without the logits, which nothing here needs: the output embedding's input is the last hidden state.
            inputs[output] = model.base_model(input_ids=ids.to(device), use_cache=False).last_hidden_state
            for name, values in inputs.items():
                rows = values[real.to(device)].double()
                moments[name].addmm_(rows.T, rows)
    finally:
        for handle in handles:
            handle.remove()
    return moments


def seen_rows(questions: Items) -> tuple[Tensor, Tensor]:
    """The tokens that occur in the questions, and their positions: rows of embeddings that Task 0 reads."""
    real = real_tokens(questions)
    return questions.ids[real].unique(), torch.arange(int(real.sum(1).max()))


def real_tokens(questions: Items) -> Tensor:
    """(n, T) bool: prompt, answer and end token, not the padding."""
    return torch.arange(questions.ids.shape[1]) < (questions.prompt_length + questions.answer_length)[:, None]


def size(tensors: dict[str, Tensor]) -> int:
    """Bytes."""
    return sum(tensor.nbytes for tensor in tensors.values())


def norm(tensors: dict[str, Tensor]) -> float:
    """The length of all of them as one vector."""
    return float(torch.stack([tensor.double().norm() for tensor in tensors.values()]).norm())


METHOD = GradientProjection
