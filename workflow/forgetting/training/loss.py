"""Next-token loss that computes logits only where a token is predicted, and never all of them at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS_AT_ONCE = 512
ROWS_AT_ONCE_COMPILED = 8192
"""A GPU needs more of them to be busy; their logits over 50,304 tokens take 0.8 GB in half precision."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Cross-entropy of `hidden @ weight.T`, in slices of rows that stay in the cache; gradients are made in the same pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, share: Tensor | None) -> Tensor:
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        total = hidden.new_zeros(())
        buffer = hidden.new_empty(min(ROWS_AT_ONCE, len(hidden)), len(weight))
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            rows, labels = hidden[start : start + ROWS_AT_ONCE], target[start : start + ROWS_AT_ONCE, None]
            logits = torch.mm(rows, weight.T, out=buffer[: len(rows)])
            logits.sub_(logits.amax(1, keepdim=True))
            right = logits.gather(1, labels)
            normaliser = logits.exp_().sum(1, keepdim=True)
            loss = normaliser.log() - right
            probability = logits.div_(normaliser)
            probability.scatter_add_(1, labels, torch.full_like(right, -1.0))
            if share is not None:
                part = share[start : start + ROWS_AT_ONCE, None]
                loss, probability = loss * part, probability.mul_(part)
            total += loss.sum()
            torch.mm(probability, weight, out=grad_hidden[start : start + ROWS_AT_ONCE])
            grad_weight.addmm_(probability.T, rows)
        count = len(hidden) if share is None else 1
        ctx.save_for_backward(grad_hidden.div_(count), grad_weight.div_(count))
        return total / count

    @staticmethod
    def backward(ctx: Any, *grad_output: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad_output[0], grad_weight * grad_output[0], None, None


def linear_cross_entropy(hidden: Tensor, weight: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
    """Cross-entropy (nats) of the logits `hidden` (n, d) @ `weight` (V, d).T against `target` (n,): the mean over the n rows, or with
    `share` (n,) the sum of the rows weighted with it.

    On the CPU at laptop scale this takes less than half the time of `torch.nn.functional.cross_entropy` on whole logits
    (`benchmarks/`). Differentiable once.
    """
    return _LinearCrossEntropy.apply(hidden, weight, target, share)


class _CompiledLinearCrossEntropy(torch.autograd.Function):
    """The same for compiled code, which fuses what stands between the products; these are in the precision of `hidden`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, share: Tensor) -> Tensor:
        weight_like_hidden = weight.to(hidden.dtype)
        tokens = torch.arange(len(weight), device=weight.device)
        total, grad_weight, grad_hidden = share.new_zeros(()), torch.zeros_like(weight), []
        for rows, labels, part in zip(*(each.split(ROWS_AT_ONCE_COMPILED) for each in (hidden, target, share)), strict=True):
            logits = (rows @ weight_like_hidden.T).float()
            log_probability = logits - logits.logsumexp(1, keepdim=True)
            total = total - (log_probability.gather(1, labels[:, None])[:, 0] * part).sum()
            slope = ((log_probability.exp() - (tokens == labels[:, None]).float()) * part[:, None]).to(hidden.dtype)
            grad_hidden.append(slope @ weight_like_hidden)
            grad_weight = grad_weight + slope.T @ rows
        ctx.save_for_backward(torch.cat(grad_hidden), grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_output: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad_output[0].to(grad_hidden.dtype), grad_weight * grad_output[0], None, None


def compiled_linear_cross_entropy(hidden: Tensor, weight: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """`linear_cross_entropy` with `share`, for `torch.compile`. Products are made in the precision of `hidden`, all else in float32.

    Differentiable once.
    """
    return _CompiledLinearCrossEntropy.apply(hidden, weight, target, share)
