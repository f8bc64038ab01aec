from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from tests.views.conftest import VOCABULARY, tiny_model

from forgetting.intervals import clustered_wilson
from forgetting.views.features import residual_stream
from forgetting.views.logit_lens import (
    Ranks,
    first_answer_tokens,
    kind_values,
    lens_depth,
    lens_ranks,
    measure_lens,
    modal_share,
)


def test_values_are_the_first_answer_tokens_of_the_attribute(questions):
    for name, tokens in kind_values(questions).items():
        rows = np.flatnonzero(questions.kind == name)
        assert tokens.tolist() == sorted({int(questions.ids[row, questions.prompt_length[row]]) for row in rows})


def test_ranks_against_scipy_and_the_model_itself(questions):
    """Question by question: norm and output embedding by hand; the last layer must give the model's own logits."""
    model, values = tiny_model().double(), kind_values(questions)
    few = questions.select(np.arange(0, len(questions), 11))
    states = residual_stream(model, few, 4).double()
    found = lens_ranks(model, states, few, values, 3)
    norm, head = model.gpt_neox.final_layer_norm, model.get_output_embeddings().weight.detach()
    for row, right in enumerate(first_answer_tokens(few).tolist()):
        with torch.inference_mode():
            answer = model(few.ids[row : row + 1, : few.prompt_length[row]]).logits[0, -1]
        for layer in range(3):
            state = states[layer, row]
            normed = (state - state.mean()) / (state.var(unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias
            logits = (normed @ head.T).detach().numpy()
            assert found.among_vocabulary[layer, row] == rankdata(-logits)[right]
            candidates = values[few.kind[row]].tolist()
            assert found.among_values[layer, row] == rankdata(-logits[candidates])[candidates.index(right)]
        assert found.among_vocabulary[2, row] == 1 + int((answer > answer[right]).sum())


def test_values_of_persons_that_are_not_asked_are_candidates(questions):
    """Few persons are asked about; the rank is among the values of everybody, and so is its chance level."""
    model, values = tiny_model(), kind_values(questions)
    few = questions.of_units(np.array([0, 11, 22]))
    own = kind_values(few)
    assert all(len(values[name]) > len(own[name]) for name in own)
    found = lens_ranks(model, residual_stream(model, few, 9), few, values, 9)
    among_own = lens_ranks(model, residual_stream(model, few, 9), few, own, 9)
    assert (found.among_values >= among_own.among_values).all() and (found.among_values > among_own.among_values).any()
    chance = {number.chance for _, metric, number in measure_lens(found, few, values) if metric == "lens_rank"}
    assert [*chance] == pytest.approx([np.mean([(len(values[name]) + 1) / 2 for name in few.kind])])


def test_ties_share_the_mean_of_their_ranks(questions):
    model = tiny_model()
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    found = lens_ranks(model, torch.randn(1, len(questions), 32), questions, kind_values(questions), 64)
    assert (found.among_vocabulary == (VOCABULARY + 1) / 2).all()


def test_depth_is_the_first_layer_from_which_the_right_value_stays_ahead():
    leads = torch.tensor([[1, 0, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 0]], dtype=torch.bool)
    assert lens_depth(leads).tolist() == [0, 2, 1, 2, 3]


def test_planted_depth_and_numbers(questions):
    """The right value leads from layer 2 on for two persons in three, and is third elsewhere."""
    values = kind_values(questions)
    leads = torch.from_numpy(np.stack([np.zeros(len(questions), bool)] * 2 + [questions.unit % 3 > 0] * 2))
    ranks = torch.where(leads, 1.0, 3.0)
    rows = {(layer, metric): number for layer, metric, number in measure_lens(Ranks(ranks, ranks + 4), questions, values)}
    share = float(np.mean(questions.unit % 3 > 0))
    assert rows[2, "lens_lead"][:3] == clustered_wilson(questions.unit % 3 > 0, questions.unit)
    assert rows[1, "lens_lead"].value == rows[3, "lens_vocabulary_lead"].value == 0
    assert rows[3, "lens_rank"].value == pytest.approx(3 - 2 * share)
    assert rows[3, "lens_vocabulary_rank"].value == pytest.approx(7 - 2 * share)
    assert rows[3, "lens_depth"].value == pytest.approx(2 * share + 4 * (1 - share))
    assert rows[3, "lens_depth"].low < rows[3, "lens_depth"].value < rows[3, "lens_depth"].high


def test_random_states_meet_chance(questions):
    values = kind_values(questions)
    generator = np.random.default_rng(0)
    sizes = np.array([len(values[name]) for name in questions.kind])
    ranks = torch.from_numpy(np.stack([generator.integers(1, sizes + 1) for _ in range(200)]).astype(np.float64))
    numbers = [number for _, metric, number in measure_lens(Ranks(ranks, ranks), questions, values) if metric == "lens_rank"]
    assert np.mean([number.value for number in numbers]) == pytest.approx(numbers[0].chance, rel=0.02)


def test_modal_share_is_the_best_constant_guess(questions):
    first = first_answer_tokens(questions).numpy()
    best = [max(np.sum(first[questions.kind == name] == token) for token in range(VOCABULARY)) for name in np.unique(questions.kind)]
    assert modal_share(questions) == sum(best) / len(questions)
