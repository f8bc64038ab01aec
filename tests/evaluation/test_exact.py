"""Metrics from one forward pass against generation and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests import sections

from forgetting.data.items import Items
from forgetting.evaluation.exact import answer_loss, score
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train


@pytest.fixture(scope="module")
def half_trained(tiny_data, tiny_questions):
    """A model that answers some questions right, so that agreement is not agreement on zeros. No test changes it."""
    questions = tiny_questions.of("task0_train")
    model = build_model(sections.model(initializer_range=0.2), load_tokenizer(tiny_data / "tokenizer").get_vocab_size(), seed=0)
    plan = Plan(
        150,
        QuestionBatches(questions, 12, 0),
        sections.optimizer(learning_rate=1e-2),
        sections.schedule(),
        frozenset({150}),
        lambda step: None,
    )
    train(model, plan)
    return model


def test_exact_match_is_what_generation_gives(half_trained, tiny_questions: Items) -> None:
    facts = score(half_trained, tiny_questions, batch_size=50)
    assert 0.05 < facts["exact_match"].mean() < 0.95
    for row in range(0, len(tiny_questions), 3):
        start, length = int(tiny_questions.prompt_length[row]), int(tiny_questions.answer_length[row])
        prompt = tiny_questions.ids[row : row + 1, :start]
        generated = half_trained.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=length, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        right = torch.equal(generated[0, start:], tiny_questions.ids[row, start : start + length])
        assert facts.loc[row, "exact_match"] == right


def test_metrics_equal_a_plain_loop(half_trained, tiny_questions: Items) -> None:
    facts = score(half_trained, tiny_questions, batch_size=7)
    total, tokens = 0.0, 0
    for row in range(len(tiny_questions)):
        start, length = int(tiny_questions.prompt_length[row]), int(tiny_questions.answer_length[row])
        ids = tiny_questions.ids[row, : start + length]
        with torch.no_grad():
            logits = half_trained(ids[None]).logits[0]
        log_probability = logits.log_softmax(-1)[torch.arange(start - 1, start + length - 1), ids[start:]]
        total -= log_probability.sum().item()
        tokens += length
        assert facts.loc[row, "first_token_soft"] == pytest.approx(log_probability[0].exp().item(), abs=1e-5)
        assert facts.loc[row, "first_token_hard"] == (logits[start - 1].argmax() == ids[start]).item()
        assert facts.loc[row, "answer_nll"] == pytest.approx(-log_probability.mean().item(), abs=1e-4)
    assert answer_loss(half_trained, tiny_questions, 7) == pytest.approx(total / tokens, rel=1e-5)


def test_metrics_do_not_depend_on_the_batch_size(half_trained, tiny_questions: Items) -> None:
    one, many = (score(half_trained, tiny_questions, size) for size in (1, 1000))
    assert (one["exact_match"] == many["exact_match"]).all()
    assert np.allclose(one["answer_nll"], many["answer_nll"], atol=1e-4)
