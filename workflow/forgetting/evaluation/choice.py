"""The likeliest of given answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from forgetting.data.items import Items, pad
from forgetting.data.ragged import Ragged
from forgetting.evaluation.exact import score

Tokens = Sequence[int]


def sequences(prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Items:
    """Items of these prompts and answers, with nothing said of what they are about."""
    count = len(prompts)
    whole = Ragged.from_lists([[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)])
    none = np.full(count, "none", dtype=object)
    return Items(
        ids=pad(whole, np.arange(count)),
        prompt_length=torch.tensor([len(prompt) for prompt in prompts], dtype=torch.long),
        answer_length=torch.tensor([len(answer) for answer in answers], dtype=torch.long),
        task=none,
        split=none,
        unit=np.arange(count),
        kind=none,
        measured=np.full(count, True),
        kinds=("none",),
    )


def likeliest(
    model: PreTrainedModel, prompts: Sequence[Tokens], choices: Sequence[Sequence[Tokens]], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The place of the likeliest of each question's choices (n,), by the likelihood of the whole choice, and by that of a token of it."""
    repeated = [prompt for prompt, of_one in zip(prompts, choices, strict=True) for _ in of_one]
    flat = [choice for of_one in choices for choice in of_one]
    mean = -score(model, sequences(repeated, flat), batch_size)["answer_nll"].to_numpy(dtype=float)
    total = mean * [len(choice) for choice in flat]
    ends = np.cumsum([len(of_one) for of_one in choices])
    by_total, by_token = (np.array([part.argmax() for part in np.split(values, ends[:-1])]) for values in (total, mean))
    return by_total, by_token
