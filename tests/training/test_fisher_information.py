"""The diagonal Fisher information against plain autograd in float64, one example at a time."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.training.fisher import diagonal_fisher, fisher_mean, normalised, sample_questions


def few(questions: Items, count: int = 7) -> Items:
    """Questions of different lengths, in mixed order."""
    return sample_questions(questions.of("task0_train"), count, seed=3)


def example_gradients(model, questions: Items) -> list[dict[str, Tensor]]:
    """Gradient of each answer's log-likelihood in float64, from whole logits of the one unpadded row."""
    exact = copy.deepcopy(model).double().eval()
    found = []
    for row, prompt, answer in zip(questions.ids, questions.prompt_length.tolist(), questions.answer_length.tolist(), strict=True):
        ids = row[: prompt + answer]
        likelihood = exact(input_ids=ids[None]).logits[0].log_softmax(1)[prompt - 1 : -1].gather(1, ids[prompt:, None]).sum()
        exact.zero_grad()
        likelihood.backward()
        found.append({name: parameter.grad.clone() for name, parameter in exact.named_parameters()})
    return found


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.allclose(value.double(), expected[name], rtol=1e-3, atol=1e-5 * float(expected[name].max())), name


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_example_fisher_is_the_loop_over_examples_at_any_batch_size(tiny_model, tiny_questions, batch_size: int) -> None:
    questions = few(tiny_questions)
    assert len({int(length) for length in questions.prompt_length + questions.answer_length}) > 1
    gradients = example_gradients(tiny_model, questions)
    expected = {name: sum(each[name] ** 2 for each in gradients) / len(questions) for name in gradients[0]}
    found = diagonal_fisher(tiny_model, questions, "example", batch_size)
    assert_close(found, expected)
    assert all(torch.equal(found[name], value) for name, value in diagonal_fisher(tiny_model, questions).items())


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_batch_fisher_is_the_square_of_the_mean_over_answer_tokens(tiny_model, tiny_questions, batch_size: int) -> None:
    """Closed form: the sum of the examples' gradients over the number of answer tokens, squared, mean over batches."""
    questions = few(tiny_questions)
    gradients, tokens = example_gradients(tiny_model, questions), questions.answer_length.numpy()
    batches = [range(first, min(first + batch_size, 7)) for first in range(0, 7, batch_size)]
    expected = {
        name: sum((sum(gradients[i][name] for i in batch) / int(tokens[list(batch)].sum())) ** 2 for batch in batches) / len(batches)
        for name in gradients[0]
    }
    assert_close(diagonal_fisher(tiny_model, questions, "batch", batch_size), expected)


def test_batch_fisher_depends_on_the_batch_size_and_example_fisher_is_another(tiny_model, tiny_questions) -> None:
    questions = few(tiny_questions)
    means = [fisher_mean(diagonal_fisher(tiny_model, questions, "batch", size)) for size in (1, 3, 7)]
    assert means[0] > 1.5 * means[1] > 1.5 * means[2]
    example, batch = (normalised(diagonal_fisher(tiny_model, questions, kind, 7)) for kind in ("example", "batch"))
    assert any(not torch.allclose(example[name], batch[name], rtol=0.5) for name in example)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_plays_no_part_and_the_model_is_left_as_found(tiny_model, tiny_questions, training: bool) -> None:
    questions = few(tiny_questions, 4)
    without = diagonal_fisher(tiny_model, questions)
    for module in tiny_model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    tiny_model.train(training)
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    drawn = torch.get_rng_state()
    found = diagonal_fisher(tiny_model, questions)
    assert all(torch.equal(found[name], value) for name, value in without.items())
    assert all(module.training == training for module in tiny_model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in tiny_model.parameters())
    assert all(torch.equal(before[name], value) for name, value in tiny_model.state_dict().items())
    assert torch.equal(drawn, torch.get_rng_state())


def test_weights_without_gradient_have_no_fisher(tiny_model, tiny_questions) -> None:
    questions = few(tiny_questions, 3)
    whole = diagonal_fisher(tiny_model, questions)
    tiny_model.gpt_neox.embed_in.requires_grad_(False)
    found = diagonal_fisher(tiny_model, questions)
    assert whole.keys() - found.keys() == {"gpt_neox.embed_in.weight"}
    assert all(torch.allclose(value, whole[name]) for name, value in found.items())


def test_normalised_has_mean_one_over_all_weights_together() -> None:
    generator = torch.Generator().manual_seed(0)
    fisher = {"a": 1e-9 * torch.rand(40, 30, generator=generator), "b": 1e-6 * torch.rand(5, generator=generator)}
    found = normalised(fisher)
    assert torch.cat([each.flatten() for each in found.values()]).double().mean().item() == pytest.approx(1, abs=1e-6)
    assert torch.allclose(found["a"][0] / found["b"][0], fisher["a"][0] / fisher["b"][0])


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_fisher_that_cannot_be_normalised_is_refused(value: float) -> None:
    with pytest.raises(StudyError, match="degenerate"):
        normalised({"a": torch.full((3,), value)})


def test_sampled_questions_are_distinct_and_seeded(tiny_questions) -> None:
    def key(questions: Items) -> list[tuple[int, str]]:
        return list(zip(questions.unit.tolist(), questions.kind.tolist(), strict=True))

    train = tiny_questions.of("task0_train")
    chosen = sample_questions(train, 20, seed=1)
    assert len(set(key(chosen))) == 20 and set(key(chosen)) <= set(key(train))
    assert key(chosen) == key(sample_questions(train, 20, seed=1)) != key(sample_questions(train, 20, seed=2))
    assert sorted(key(sample_questions(train, 1000, seed=1))) == sorted(key(train))
    assert len(np.unique(chosen.unit)) > 4
