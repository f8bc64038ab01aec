"""Among all values of its kind, how likely is the right answer? (own_pool_rank of docs/definitions.md)

Exact match asks that the right tokens lead the whole vocabulary. A model that has lost the form of an answer can fail that and still
prefer the right value to every other value: then the fact is there, and no training was needed to see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from forgetting.data.items import PADDING, Items
from forgetting.intervals import clustered_mean, clustered_wilson
from forgetting.model.anatomy import output_weight


@dataclass(frozen=True)
class ValuePool:
    """The V values of a kind as a tree of tokens: N beginnings of values, found on M paths of at most L tokens.

    paths (M, L): the longest beginnings, padded on the right. path, length (N,): the path that each beginning is on, and its length.
    beginning, token (V, K): for each token of a value the beginning that predicts it, and its id; `there` (V, K) is false in padding.
    """

    paths: Tensor
    path: Tensor
    length: Tensor
    beginning: Tensor
    token: Tensor
    there: Tensor
    values: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, questions: Items) -> Self:
        """The distinct answers of `questions`, without their end tokens."""
        values = sorted({_value(questions, row) for row in range(len(questions))})
        beginnings = {value[:size] for value in values for size in range(len(value))}
        paths = sorted(beginnings - {beginning[:-1] for beginning in beginnings if beginning})
        found: dict[tuple[int, ...], int] = {}
        places: list[tuple[int, int]] = []
        for number, path in enumerate(paths):
            for size in range(len(path) + 1):
                if path[:size] not in found:
                    found[path[:size]] = len(places)
                    places.append((number, size))
        path, length = torch.tensor(places).T
        return cls(
            _padded(paths),
            path,
            length,
            _padded([[found[value[:size]] for size in range(len(value))] for value in values]),
            _padded(values),
            _padded([[1] * len(value) for value in values]).bool(),
            tuple(values),
        )

    @torch.inference_mode()
    def log_likelihoods(self, model: PreTrainedModel, prompt: Tensor) -> Tensor:
        """(V,) log-probability, nats, of the tokens of each value after the prompt (T,). The prompt is read once."""
        device = prompt.device
        read = model.base_model(input_ids=prompt[None], use_cache=True)
        states = read.last_hidden_state[:, -1:].expand(len(self.paths), -1, -1)
        if self.paths.shape[1]:
            read.past_key_values.batch_repeat_interleave(len(self.paths))
            more = model.base_model(input_ids=self.paths.to(device), past_key_values=read.past_key_values, use_cache=True)
            states = torch.cat([states, more.last_hidden_state], 1)
        logits = linear(states[self.path.to(device), self.length.to(device)], output_weight(model))
        each = logits.log_softmax(1)[self.beginning.to(device), self.token.to(device)]
        return each.where(self.there.to(device), 0).double().sum(1).cpu()


def _value(questions: Items, row: int) -> tuple[int, ...]:
    start, length = int(questions.prompt_length[row]), int(questions.answer_length[row])
    return tuple(questions.ids[row, start : start + length - 1].tolist())


def _padded(rows: list[tuple[int, ...]] | list[list[int]]) -> Tensor:
    """(rows, longest)"""
    columns = max(map(len, rows))
    return torch.tensor([[*row, *[PADDING] * (columns - len(row))] for row in rows], dtype=torch.long).reshape(len(rows), columns)


def value_pools(questions: Items) -> dict[str, ValuePool]:
    """The values of each kind that occur. To miss none, `questions` are to be those of all units of the data."""
    return {name: ValuePool.of(questions.select(questions.kind == name)) for name in np.unique(questions.kind)}


def own_pool_ranks(model: PreTrainedModel, questions: Items, pools: Mapping[str, ValuePool]) -> np.ndarray:
    """(n,) rank of the right answer among the values of its kind, by likelihood: 1 is the top, ties share the mean of their ranks.

    The end token is left out: the probability is that of an answer which begins with the value.
    """
    device, ranks = next(model.parameters()).device, np.empty(len(questions))
    for row in range(len(questions)):
        pool = pools[questions.kind[row]]
        likelihood = pool.log_likelihoods(model, questions.ids[row, : questions.prompt_length[row]].to(device))
        own = likelihood[pool.values.index(_value(questions, row))]
        ranks[row] = 1 + (likelihood > own).sum() + ((likelihood == own).sum() - 1) / 2
    return ranks


def pool_rank_rows(questions: Items, ranks: np.ndarray, pools: Mapping[str, ValuePool]) -> pd.DataFrame:
    """Columns split, kind, metric, value, n, low, high: exact_match (the right value is the likeliest of the kind),
    own_pool_rank (1 is the top), and own_pool_percentile (share of the other values that are likelier; chance 0.5)."""
    sizes = np.array([len(pools[name].values) for name in questions.kind])
    frame = pd.DataFrame({"split": questions.split, "kind": questions.kind, "unit": questions.unit})
    frame = frame.assign(exact_match=ranks == 1, own_pool_rank=ranks, own_pool_percentile=(ranks - 1) / (sizes - 1))
    rows: list[tuple[object, ...]] = []
    for kind in ("all", *questions.kinds):
        for split, cell in frame[(frame["kind"] == kind) | (kind == "all")].groupby("split"):
            for metric in ("exact_match", "own_pool_rank", "own_pool_percentile"):
                interval = (clustered_wilson if metric == "exact_match" else clustered_mean)(cell[metric].astype(float), cell["unit"])
                rows.append((split, kind, metric, interval.value, len(cell), interval.low, interval.high))
    return pd.DataFrame(rows, columns=["split", "kind", "metric", "value", "n", "low", "high"])
