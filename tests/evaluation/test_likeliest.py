"""The likeliest of several answers, against the whole logits of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.families import family_model

from forgetting.evaluation.choice import likeliest

PROMPTS = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [10]]
CHOICES = [[[11, 0], [12, 13, 0]], [[14, 0], [15, 16, 17, 0], [18, 0]], [[19, 20, 0], [21, 0]], [[22, 0], [23, 24, 25, 26, 0]]]


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2-tied"])
def test_it_is_that_of_the_whole_logits(family: str) -> None:
    model = family_model(family, 30)
    totals, means = [], []
    for prompt, choices in zip(PROMPTS, CHOICES, strict=True):
        found = []
        for choice in choices:
            ids = torch.tensor([[*prompt, *choice]])
            with torch.no_grad():
                spoken = model(ids).logits[0, :-1].log_softmax(-1)
            found.append(float(sum(spoken[len(prompt) - 1 + place, token] for place, token in enumerate(choice))))
        totals.append(int(np.argmax(found)))
        means.append(int(np.argmax([total / len(choice) for total, choice in zip(found, choices, strict=True)])))
    for batch_size in (1, 4):
        by_total, by_token = likeliest(model, PROMPTS, CHOICES, batch_size)
        assert by_total.tolist() == totals and by_token.tolist() == means
