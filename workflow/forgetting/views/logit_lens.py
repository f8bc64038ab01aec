"""Logit lens: at which depth does the right answer lead, if the model had to answer there? (docs/views.md)

The residual stream of every layer at the last prompt token goes through the final norm and the output embedding, and the right value's
first token is ranked among the first tokens of the kind's values and among the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.intervals import clustered_wilson
from forgetting.model.anatomy import Anatomy, output_weight
from forgetting.views.measured import Measured, unit_means, with_interval

Values = Mapping[str, Tensor]
"""First answer tokens of each kind's values, ascending."""


@dataclass(frozen=True)
class Ranks:
    """Rank of the right first answer token, (layers + 1, n) each: 1 is the top, equal logits share the mean of their ranks."""

    among_values: Tensor
    among_vocabulary: Tensor


def first_answer_tokens(questions: Items) -> Tensor:
    """(n,)"""
    return questions.ids[torch.arange(len(questions)), questions.prompt_length]


def kind_values(questions: Items) -> dict[str, Tensor]:
    """First tokens of the answers that occur, by kind. To miss no value, `questions` are to be those of all units of the data."""
    first = first_answer_tokens(questions)
    return {name: first[torch.from_numpy(questions.kind == name)].unique() for name in np.unique(questions.kind)}


@torch.inference_mode()
def lens_ranks(model: PreTrainedModel, states: Tensor, questions: Items, values: Values, batch_size: int) -> Ranks:
    """`states`: (layers + 1, n, d) of `questions`, before the final norm. `batch_size` questions at a time meet the vocabulary."""
    norm, output = Anatomy(model.config).final_norm(model), output_weight(model)
    right = first_answer_tokens(questions)
    ranks = torch.empty(2, *states.shape[:2])
    members = [(torch.from_numpy(np.flatnonzero(questions.kind == name)), values[name]) for name in np.unique(questions.kind)]
    for layer, stream in enumerate(states):
        for asked, candidates in members:
            for rows in asked.split(batch_size):
                logits = linear(norm(stream[rows].to(output.device)), output).cpu()
                own = logits.gather(1, right[rows, None])
                ranks[0, layer, rows] = _rank(logits[:, candidates], own)
                ranks[1, layer, rows] = _rank(logits, own)
    return Ranks(*ranks)


def _rank(logits: Tensor, own: Tensor) -> Tensor:
    return 1 + (logits > own).sum(1) + ((logits == own).sum(1) - 1) / 2


def lens_depth(leads: Tensor) -> Tensor:
    """The first layer from which the right token leads in every layer to the last, (n,).

    leads: (layers + 1, n), true where it leads. Where it does not lead in the last layer, the result is one layer beyond that.
    """
    return len(leads) - leads.flip(0).long().cumprod(0).sum(0)


def measure_lens(ranks: Ranks, questions: Items, values: Values) -> list[tuple[int, str, Measured]]:
    """(layer, metric, number) for the questions.

    lens_rank and lens_lead: mean rank among the values of the kind, and the share of questions whose right token has rank 1 there;
    lens_vocabulary_rank and lens_vocabulary_lead: the same among all tokens. Chance of lens_rank: the mean rank in a random order of the
    values. Chance of lens_lead: always the most frequent first token of each kind of these questions. lens_depth: the mean of
    `lens_depth` among the values, where a question that the last layer does not answer counts as one layer beyond the last; filed under
    the last layer. Intervals are over units.
    """
    sizes = np.array([len(values[name]) for name in questions.kind])
    units = questions.unit
    rows: list[tuple[int, str, Measured]] = []
    for prefix, found, chance_rank, chance_lead in (
        ("lens", ranks.among_values, float((sizes.mean() + 1) / 2), modal_share(questions)),
        ("lens_vocabulary", ranks.among_vocabulary, float("nan"), float("nan")),
    ):
        draws = unit_means(found.T, units)
        for layer, of_layer in enumerate(found):
            rows.append((layer, f"{prefix}_rank", with_interval(draws[:, layer], chance_rank)))
            rows.append((layer, f"{prefix}_lead", Measured(*clustered_wilson((of_layer == 1).numpy(), units), chance_lead)))
    depth = lens_depth(ranks.among_values == 1)
    rows.append((len(ranks.among_values) - 1, "lens_depth", with_interval(unit_means(depth, units))))
    return rows


def modal_share(questions: Items) -> float:
    """How often the most frequent first answer token of its kind is right, over all the questions."""
    first = first_answer_tokens(questions).numpy()
    modal: NDArray[np.intp] = np.array([np.bincount(first[questions.kind == name]).max() for name in np.unique(questions.kind)])
    return float(modal.sum() / len(questions))
