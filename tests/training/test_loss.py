from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from forgetting.data.items import answer_positions
from forgetting.training.loss import ROWS_AT_ONCE, linear_cross_entropy


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 3])
def test_value_and_gradients_are_those_of_the_plain_formula(rows: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(rows, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 40, (rows,))
    plain = F.cross_entropy(hidden @ weight.T, target)
    expected = torch.autograd.grad(3 * plain, (hidden, weight))
    ours = linear_cross_entropy(hidden, weight, target)
    found = torch.autograd.grad(3 * ours, (hidden, weight))
    assert torch.allclose(ours, plain, atol=1e-12)
    for gradient, reference in zip(found, expected, strict=True):
        assert torch.allclose(gradient, reference, atol=1e-12)


def test_large_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1000.0, -1000.0]])
    assert linear_cross_entropy(hidden, torch.eye(2), torch.tensor([1])).item() == pytest.approx(2000)


def test_answer_positions_by_hand() -> None:
    """Prompts of 3 and 2 tokens with answers of 2 and 1: outputs 2, 3 of the first row and 1 of the second predict them."""
    question, position = answer_positions(torch.tensor([3, 2]), torch.tensor([2, 1]))
    assert question.tolist() == [0, 0, 1]
    assert position.tolist() == [2, 3, 1]


def test_weighted_sum_equals_plain_cross_entropy_of_each_row() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS_AT_ONCE + 100, 8, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(11, 8, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.randint(11, (len(hidden),), generator=generator)
    share = torch.rand(len(hidden), generator=generator, dtype=torch.float64)
    ours = linear_cross_entropy(hidden, weight, target, share)
    found = torch.autograd.grad(ours, (hidden, weight))
    plain = (torch.nn.functional.cross_entropy(hidden @ weight.T, target, reduction="none") * share).sum()
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(found, torch.autograd.grad(plain, (hidden, weight)))
