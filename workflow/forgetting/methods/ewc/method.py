"""Elastic weight consolidation (Kirkpatrick et al. 2017): weights that mattered for Task 0 are pulled back to where they were."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from forgetting.methods.base import Method, Setting
from forgetting.methods.ewc import Knobs
from forgetting.training.fisher import diagonal_fisher, fisher_mean, normalised, sample_questions


class Term(NamedTuple):
    """What is kept of one earlier task, by name of the parameter: the weights after it, and their Fisher information."""

    anchor: dict[str, Tensor]
    fisher: dict[str, Tensor]


class Ewc(Method):
    """Adds penalty / 2 * sum F (theta - theta*)^2 to the loss, with the diagonal Fisher F of Task 0 at theta*, of mean 1.

    In a sequence one such penalty for each earlier task, with its own Fisher at the weights after it, as in the paper (section 2.1: "two
    separate penalties").
    """

    arm: Knobs

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        self.raw_means: list[float] = []
        self.terms: list[Term] = []
        for model, task in zip(setting.former_models(), setting.former, strict=True):
            questions = sample_questions(task, self.arm.questions, setting.seed)
            fisher = diagonal_fisher(model, questions, self.arm.fisher, setting.training.batch_size)
            self.raw_means.append(fisher_mean(fisher))
            anchor = {name: parameter.detach().clone() for name, parameter in model.named_parameters() if name in fisher}
            self.terms.append(Term(anchor, normalised(fisher)))
            self.prepared_rows += len(questions)
        self.weights = [parameter for name, parameter in setting.model.named_parameters() if name in fisher]
        self.stored_bytes = sum(each.nbytes for term in self.terms for kept in term for each in kept.values())

    def on_loss(self, loss: Tensor) -> Tensor:
        for anchor, fisher in self.terms:
            loss = loss + quadratic_penalty(self.weights, list(anchor.values()), list(fisher.values()), self.arm.penalty)
        return loss

    def after_task(self) -> dict[str, float]:
        """fisher_mean: mean of the Fisher before it was normalised; penalty / fisher_mean is lambda for the Fisher as it comes. Mean over
        the earlier tasks."""
        return {"fisher_mean": sum(self.raw_means) / len(self.raw_means)}


class _QuadraticPenalty(torch.autograd.Function):
    """Value and gradient in one pass over the weights, which takes two thirds of the time that autograd needs for the same sum."""

    @staticmethod
    def forward(ctx: Any, strength: float, anchor: list[Tensor], fisher: list[Tensor], *weights: Tensor) -> Tensor:
        pulls, total = [], weights[0].new_zeros(())
        for weight, start, importance in zip(weights, anchor, fisher, strict=True):
            moved = weight - start
            pull = moved * importance
            total += torch.dot(pull.flatten(), moved.flatten())
            pulls.append(pull.mul_(strength))
        ctx.save_for_backward(*pulls)
        return total * (strength / 2)

    @staticmethod
    def backward(ctx: Any, *grad_output: Tensor) -> tuple[Any, ...]:
        return None, None, None, *(pull * grad_output[0] for pull in ctx.saved_tensors)


def quadratic_penalty(weights: list[Tensor], anchor: list[Tensor], fisher: list[Tensor], strength: float) -> Tensor:
    """strength / 2 * sum fisher (weights - anchor)^2 over all entries of all tensors, a scalar. Differentiable once, in `weights`."""
    return _QuadraticPenalty.apply(strength, anchor, fisher, *weights)


METHOD = Ewc
