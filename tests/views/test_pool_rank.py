from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.data.items import Items
from forgetting.evaluation.scorers import SCORERS
from forgetting.stages.measurements import evaluate_facts
from forgetting.views.pool_rank import own_pool_ranks, pool_rank_rows, value_pools


@pytest.fixture
def pools(tiny_questions):
    return value_pools(tiny_questions)


def answers(questions: Items, row: int) -> tuple[int, ...]:
    start = int(questions.prompt_length[row])
    return tuple(questions.ids[row, start : start + int(questions.answer_length[row]) - 1].tolist())


def test_pools_hold_every_value_that_occurs_once(tiny_questions, pools):
    for kind, pool in pools.items():
        rows = np.flatnonzero(tiny_questions.kind == kind)
        assert sorted(pool.values) == sorted({answers(tiny_questions, row) for row in rows})
    assert max(len(value) for value in pools["birthday"].values) > 1, "values of several tokens are among them"


def test_likelihoods_are_those_of_whole_sequences(tiny_model, tiny_questions, pools):
    """Every value written out after the prompt, read from the start and without padding."""
    model = tiny_model.double().eval()
    for kind, pool in pools.items():
        row = np.flatnonzero(tiny_questions.kind == kind)[3]
        prompt = tiny_questions.ids[row, : tiny_questions.prompt_length[row]]
        expected = []
        for value in pool.values:
            ids = torch.cat([prompt, torch.tensor(value)])
            with torch.inference_mode():
                log_probability = model(ids[None]).logits[0].log_softmax(-1)
            expected.append(sum(log_probability[len(prompt) - 1 + place, token].item() for place, token in enumerate(value)))
        assert pool.log_likelihoods(model, prompt).numpy() == pytest.approx(np.array(expected), abs=1e-9)


def with_fixed_logits(model, logits: torch.Tensor):
    """The model says the same at every token."""
    with torch.no_grad():
        model.gpt_neox.final_layer_norm.weight.zero_()
        model.gpt_neox.final_layer_norm.bias.zero_()[0] = 1.0
        model.get_output_embeddings().weight.zero_()[:, 0] = logits
    return model.eval()


def test_a_preferred_value_is_first_and_the_order_is_that_of_its_tokens(tiny_model, tiny_questions, pools):
    """With the same logits everywhere, a value's likelihood is the sum over its tokens: a closed form."""
    model = tiny_model.double()
    logits = torch.randn(model.get_output_embeddings().weight.shape[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    preferred = pools["university"].values[4]
    logits[list(preferred)] = 30.0
    asked = tiny_questions.select(tiny_questions.kind == "university")
    ranks = own_pool_ranks(with_fixed_logits(model, logits), asked, pools)
    share = logits.log_softmax(0)
    sums = {value: share[list(value)].sum().item() for value in pools["university"].values}
    for row in range(len(asked)):
        own = sums[answers(asked, row)]
        assert ranks[row] == 1 + sum(other > own + 1e-12 for other in sums.values())
    assert (ranks[[answers(asked, row) == preferred for row in range(len(asked))]] == 1).all()


def test_the_right_value_leads_its_pool_although_no_answer_is_right(tiny_model, tiny_questions, pools):
    """A token of no value is likelier than all others everywhere: exact match sees a loss, the rank among values none."""
    asked = tiny_questions.select(tiny_questions.kind == "university")
    preferred = pools["university"].values[4]
    asked = asked.select(np.array([answers(asked, row) == preferred for row in range(len(asked))]))
    of_values = {token for value in pools["university"].values for token in value}
    foreign = next(token for token in asked.ids[0, : asked.prompt_length[0]].tolist() if token not in of_values)
    logits = torch.zeros(tiny_model.get_output_embeddings().weight.shape[0])
    logits[list(preferred)], logits[foreign] = 30.0, 31.0
    model = with_fixed_logits(tiny_model, logits)
    facts = evaluate_facts(SCORERS["exact"], model, asked, 8)
    assert not facts["exact_match"].any()
    assert (own_pool_ranks(model, asked, pools) == 1).all()


def test_a_model_without_preference_is_at_chance(tiny_model, tiny_questions, pools):
    """Equal tokens, values of one token: all are tied, and a tie has the middle rank."""
    kind = next(name for name, pool in pools.items() if {len(value) for value in pool.values} == {len(pool.values[0])})
    asked = tiny_questions.select(tiny_questions.kind == kind)
    model = with_fixed_logits(tiny_model.double(), torch.zeros(tiny_model.get_output_embeddings().weight.shape[0], dtype=torch.float64))
    ranks = own_pool_ranks(model, asked, pools)
    size = len(pools[kind].values)
    assert ranks == pytest.approx(np.full(len(asked), (1 + size) / 2))
    rows = pool_rank_rows(asked, ranks, pools).query("kind == 'all' and split == 'task1'").set_index("metric")["value"]
    assert rows["own_pool_percentile"] == pytest.approx(0.5)
    assert rows["exact_match"] == 0


def test_random_weights_rank_near_chance(tiny_model, tiny_questions, pools):
    """Prompts hardly matter to them, but right answers are spread over the values: the mean percentile is that of a random order."""
    asked = tiny_questions.of("task0_train")
    rows = pool_rank_rows(asked, own_pool_ranks(tiny_model.eval(), asked, pools), pools)
    percentile = rows.query("kind == 'all' and metric == 'own_pool_percentile'").iloc[0]
    assert percentile["value"] == pytest.approx(0.5, abs=0.12)
    assert percentile["n"] == len(asked)
