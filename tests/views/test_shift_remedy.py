"""The remedy that takes the common shift away, on a model of which nothing but such a shift was lost."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.families import family_model

from forgetting.evaluation.choice import sequences
from forgetting.evaluation.exact import score
from forgetting.views.answer_change import answer_states
from forgetting.views.shift_remedy import answer_tokens, common_shifts, random_shifts, right_without

VOCABULARY, ANSWER = 60, 3


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2"])
def test_a_shift_that_all_answers_share_is_undone(family: str) -> None:
    """After is before with a constant added to the last block's output; the answers are what before says. The shift comes from half of
    the questions, and is taken away from the other half."""
    before = family_model(family, VOCABULARY)
    generator = np.random.default_rng(0)
    prompts, answers = generator.integers(1, VOCABULARY, (40, 4)).tolist(), []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        for _ in range(ANSWER):
            with torch.no_grad():
                ids = torch.cat([ids, before(ids).logits[:, -1:].argmax(-1)], dim=1)
        answers.append(ids[0, len(prompt) :].tolist())
    questions = sequences(prompts, answers)
    assert score(before, questions, 8)["exact_match"].all()
    after = copy.deepcopy(before)
    bias = next(values for name, values in reversed(list(after.named_parameters())) if name.endswith(("dense_4h_to_h.bias", "c_proj.bias")))
    with torch.no_grad():
        bias.add_(5 * torch.randn(len(bias), generator=torch.Generator().manual_seed(1)))
    known, asked = questions.select(np.arange(20)), questions.select(np.arange(20, 40))
    assert score(after, asked, 8)["exact_match"].mean() < 0.5
    tokens = answer_tokens(known)
    shift = common_shifts(tokens, answer_states(before, tokens, 8), answer_states(after, tokens, 8))
    assert shift.shape == (ANSWER, before.config.hidden_size)
    assert torch.allclose(shift, bias - before.get_parameter(_name_of(after, bias)), atol=1e-4)
    nothing = torch.zeros_like(shift)
    with_it, without, control = right_without(after, asked, [shift, nothing, random_shifts(shift, 0)], 8)
    assert with_it.all() and control.mean() < 0.5
    assert without.tolist() == score(after, asked, 8)["exact_match"].tolist()


def _name_of(model: torch.nn.Module, wanted: torch.Tensor) -> str:
    return next(name for name, values in model.named_parameters() if values is wanted)


def test_random_shifts_have_the_same_lengths_and_other_directions() -> None:
    shift = torch.randn(4, 16)
    drawn = random_shifts(shift, 3)
    assert torch.allclose(drawn.norm(dim=1), shift.norm(dim=1))
    assert torch.nn.functional.cosine_similarity(drawn, shift).abs().max() < 0.9
    assert torch.equal(drawn, random_shifts(shift, 3)) and not torch.equal(drawn, random_shifts(shift, 4))


def test_answers_longer_than_the_shift_keep_their_later_tokens_as_they_are() -> None:
    model = family_model("gpt_neox", VOCABULARY)
    long = sequences([[3, 4]], [[5, 6, 7, 8]])
    (right,) = right_without(model, replace(long), [torch.zeros(1, model.config.hidden_size)], 1)
    assert right.tolist() == score(model, long, 1)["exact_match"].tolist()
