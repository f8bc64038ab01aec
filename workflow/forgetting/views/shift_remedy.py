"""A remedy that changes no weights: the shift of the states that all old answers share is taken away where an answer is written.

The shift is the mean, over the training questions of the old task, of the change of the residual stream between the models before and
after, at each place of the answer (`views/common_shift.py` studies it). It is taken away from every question alike, old or new, as nothing
tells which task a question is of. Random shifts of the same length are its control.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.views.answer_change import ROWS_AT_ONCE, AnswerTokens, Head, answer_states, leading


def answer_tokens(questions: Items) -> AnswerTokens:
    """Of questions that count as of one kind."""
    return AnswerTokens.of(replace(questions, kind=np.full(len(questions), "answer", dtype=object), kinds=("answer",)))


def common_shifts(tokens: AnswerTokens, before: Tensor, after: Tensor) -> Tensor:
    """(places of the longest answer, d) mean change of the states (R, d) of the tokens, by place in the answer."""
    place = tokens.position.to(after.device)
    places = int(tokens.position.max()) + 1
    sums = torch.zeros(places, after.shape[1], dtype=after.dtype, device=after.device).index_add_(0, place, after - before)
    return sums / torch.bincount(place, minlength=places)[:, None]


def random_shifts(shifts: Tensor, seed: int) -> Tensor:
    """Random ones of the same lengths, (..., d)."""
    drawn = torch.randn(shifts.shape, generator=torch.Generator().manual_seed(seed)).to(shifts)
    return drawn / drawn.norm(dim=-1, keepdim=True) * shifts.norm(dim=-1, keepdim=True)


@torch.inference_mode()
def right_without(model: PreTrainedModel, questions: Items, shifts: list[Tensor], batch_size: int) -> Iterator[NDArray[np.bool_]]:
    """For each of `shifts` (places, d), the questions (n,) of which every token is the likeliest once it is taken away. What lies beyond
    the places that it has stays as it is."""
    tokens, head = answer_tokens(questions), Head.of(model)
    states = answer_states(model, tokens, batch_size)
    for shift in shifts:
        padded = torch.cat([shift, shift.new_zeros(max(0, int(tokens.position.max()) + 1 - len(shift)), shift.shape[1])])
        parts = zip(states.split(ROWS_AT_ONCE), tokens.position.split(ROWS_AT_ONCE), tokens.target.split(ROWS_AT_ONCE), strict=True)
        right = [leading(head.logits(rows - padded[place.to(rows.device)]), target) for rows, place, target in parts]
        yield tokens.question_right(torch.cat(right))[0]
