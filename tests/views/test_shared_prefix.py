from __future__ import annotations

import numpy as np
import pytest
import torch
from tests import sections

from forgetting.model.checkpoints import build_model
from forgetting.views import scores, shared_prefix
from forgetting.views.landscape import Layout
from forgetting.views.scores import PlainScorer
from forgetting.views.shared_prefix import PrefixScorer, PrefixTree, answer_scorer

CPU = torch.device("cpu")


def vector_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def test_a_tree_holds_every_prefix_once_and_finds_it_again(tiny_questions):
    questions = tiny_questions.of("task0_test", "task1")
    tree = PrefixTree.of(questions, CPU)
    length = (questions.prompt_length + questions.answer_length - 1).tolist()
    prefixes = {tuple(row[: end + 1]) for row, count in zip(questions.ids.tolist(), length, strict=True) for end in range(count)}
    assert len(tree.token) == len(prefixes) < sum(length)
    for row, count in enumerate(length):
        path = tree.prefix[row, :count]
        assert torch.equal(tree.vocabulary[tree.token[path]], questions.ids[row, :count])
        assert tree.depth[path].tolist() == list(range(count))
    assert torch.equal(tree.prefix.flatten()[tree.place], torch.arange(len(tree.token)))


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("at_once", [5, 1024])
@pytest.mark.parametrize("scorer", [PrefixScorer, PlainScorer])
def test_scores_equal_a_plain_forward_pass(tiny_questions, layers, at_once, scorer, monkeypatch):
    monkeypatch.setattr(shared_prefix, "QUESTIONS_AT_ONCE", at_once)
    monkeypatch.setattr(scores, "QUESTIONS_AT_ONCE", at_once)
    questions = tiny_questions.of("task0_test", "control")
    shape = sections.model(layers=layers, hidden_size=32, heads=2, initializer_range=0.2)
    model = build_model(shape, int(tiny_questions.ids.max()) + 1, seed=1).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    origin = vector_of(model)
    nats, exact = scorer(model, questions, CPU)(Layout.of(model).on_line(origin, torch.zeros_like(origin), 1.0))
    for row, (ids, prompt, answer) in enumerate(zip(questions.ids, questions.prompt_length, questions.answer_length, strict=True)):
        logits = model(ids[None, : prompt + answer - 1]).logits[0, prompt - 1 :]
        target = ids[prompt : prompt + answer]
        assert nats[row] == pytest.approx(torch.nn.functional.cross_entropy(logits, target, reduction="sum").item(), abs=1e-9)
        assert exact[row] == torch.equal(logits.argmax(1), target)


def test_exact_answers_are_recognised(tiny_questions, tiny_model):
    """A model whose last layer norm always points to the end token answers no question but knows every end."""
    questions = tiny_questions.of("control")
    with torch.no_grad():
        tiny_model.gpt_neox.final_layer_norm.weight.zero_()
        tiny_model.gpt_neox.final_layer_norm.bias.fill_(1)
        tiny_model.get_output_embeddings().weight.zero_()
        tiny_model.get_output_embeddings().weight[0].fill_(1)
    ends = questions.select(np.arange(3))
    ends.prompt_length[:] += ends.answer_length - 1  # only the end token is left to answer
    ends.answer_length[:] = 1
    origin = vector_of(tiny_model)
    for asked, right in ((questions.select(np.arange(3, 9)), 0), (ends, 1)):
        exact = PrefixScorer(tiny_model, asked, CPU)(Layout.of(tiny_model).on_line(origin, origin, 0.0))[1]
        assert (exact == right).all()


def test_prefixes_are_shared_where_attention_and_mlp_read_the_same_states(tiny_questions, tiny_model):
    assert isinstance(answer_scorer(tiny_model, tiny_questions, CPU), PrefixScorer)
    tiny_model.config.use_parallel_residual = False
    assert isinstance(answer_scorer(tiny_model, tiny_questions, CPU), PlainScorer)
