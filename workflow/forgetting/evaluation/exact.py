"""The metrics of docs/definitions.md, each from one teacher-forced forward pass.

Greedy decoding gives exactly the right answer when, and only when, every token of the answer is the most likely one after the right
tokens before
it. So nothing is generated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.data.items import Items, answer_positions
from forgetting.errors import StudyError
from forgetting.model.anatomy import logits_at


@torch.inference_mode()
def _answer_log_probabilities(
    model: PreTrainedModel, questions: Items, batch_size: int
) -> Iterator[tuple[np.ndarray, Tensor, Tensor, Tensor]]:
    """For batches of questions of like length: their rows, and for each answer token its question (within the batch), log-probability, and
    whether it is the argmax. Logits are computed at answer positions only. Raises StudyError when the model knows fewer tokens."""
    device = next(model.parameters()).device
    tokens = len(model.get_output_embeddings().weight)
    if len(questions) and (highest := int(questions.ids.max())) >= tokens:
        raise StudyError(f"the questions have token {highest}, the model knows {tokens}: it was trained on other data; train it again")
    length = (questions.prompt_length + questions.answer_length).numpy()
    by_length = np.argsort(length, kind="stable")
    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        ids = questions.ids[torch.from_numpy(rows), : int(length[rows].max())].to(device)
        prompt, answer = questions.prompt_length[rows].to(device), questions.answer_length[rows].to(device)
        question, position = answer_positions(prompt, answer)
        logits = logits_at(model, ids, question, position)
        target = ids[question, position + 1]
        log_probability = logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(1)
        yield rows, question, log_probability, logits.argmax(1) == target


def score(model: PreTrainedModel, questions: Items, batch_size: int) -> pd.DataFrame:
    """One row a question: unit, split, kind, exact_match, first_token_hard, first_token_soft (probability), answer_nll (mean
    nats a token)."""
    count = len(questions)
    exact, first_hard = np.empty(count, dtype=bool), np.empty(count, dtype=bool)
    first_soft, nll = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.float32)
    for rows, question, log_probability, right in _answer_log_probabilities(model, questions, batch_size):
        tokens = torch.bincount(question, minlength=len(rows))
        starts = (tokens.cumsum(0) - tokens).cpu()
        wrong = torch.zeros(len(rows), device=right.device).index_add_(0, question, (~right).float())
        total = torch.zeros(len(rows), device=right.device).index_add_(0, question, log_probability)
        exact[rows] = (wrong == 0).cpu().numpy()
        nll[rows] = (-total / tokens).cpu().numpy()
        first_hard[rows] = right.cpu()[starts].numpy()
        first_soft[rows] = log_probability.cpu()[starts].exp().numpy()
    return pd.DataFrame(
        {
            "unit": questions.unit,
            "split": questions.split,
            "kind": questions.kind,
            "exact_match": exact,
            "first_token_hard": first_hard,
            "first_token_soft": first_soft,
            "answer_nll": nll,
        }
    )


def answer_loss(model: PreTrainedModel, questions: Items, batch_size: int) -> float:
    """Mean negative log-likelihood of all answer tokens, nats a token: the loss that fine-tuning minimises."""
    total, tokens = 0.0, 0
    for _, _, log_probability, _ in _answer_log_probabilities(model, questions, batch_size):
        total -= log_probability.double().sum().item()
        tokens += len(log_probability)
    return total / tokens
