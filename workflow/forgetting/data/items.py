"""Questions as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_columns

from forgetting.data.ragged import Ragged
from forgetting.schemas.items import ITEMS
from forgetting.tables import read_table

PADDING = 0
TENSORS, LABELS = ("ids", "prompt_length", "answer_length"), ("task", "split", "unit", "kind", "measured")
TEXTS = ("task", "split", "kind")


def pad(rows: Ragged, index: np.ndarray) -> Tensor:
    """The rows `index` (m,) as one (m, longest) LongTensor, padded on the right.

    No attention mask is needed with it: attention is causal, so no token sees the padding that follows it.
    """
    lengths = rows.lengths[index]
    columns = np.arange(int(lengths.max(initial=1)))
    source = rows.offsets[index][:, None] + np.minimum(columns, lengths[:, None] - 1)
    return torch.from_numpy(np.where(columns < lengths[:, None], rows.tokens[source], PADDING).astype(np.int64))


@dataclass(frozen=True)
class Items:
    """n questions with their answers, and what they are about (ITEMS says it of each column).

    ids: (n, T) prompt + answer + end token, right-padded. prompt_length, answer_length: (n,), the answer with its end token.
    task, split, unit, kind, measured: (n,) numpy arrays. kinds: all there are in the data, in its order, whichever of them are here.
    """

    ids: Tensor
    prompt_length: Tensor
    answer_length: Tensor
    task: np.ndarray
    split: np.ndarray
    unit: np.ndarray
    kind: np.ndarray
    measured: np.ndarray
    kinds: tuple[str, ...]

    @classmethod
    def load(cls, path: str | Path) -> Items:
        """Read `items.parquet`. Raises TableError that names a missing or broken file."""
        frame = read_table(path, ITEMS, [*LABELS, "prompt_ids", "answer_ids"])
        prompts, answers = Ragged.from_lists(frame["prompt_ids"]), Ragged.from_lists(frame["answer_ids"])
        whole = Ragged.interleave(prompts, answers)
        return cls(
            ids=pad(whole, np.arange(len(whole))),
            prompt_length=torch.from_numpy(prompts.lengths),
            answer_length=torch.from_numpy(answers.lengths),
            kinds=tuple(frame["kind"].unique()),
            **{name: frame[name].to_numpy(dtype=object if name in TEXTS else None) for name in LABELS},
        )

    def __len__(self) -> int:
        return len(self.unit)

    def select(self, rows: np.ndarray) -> Self:
        """The questions at `rows`, an index or a boolean mask, in that order."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        tensors = {name: getattr(self, name)[torch.from_numpy(index)] for name in TENSORS}
        return replace(self, **tensors, **{name: getattr(self, name)[index] for name in LABELS})

    def of(self, *splits: str) -> Self:
        """Those of some splits, by their names."""
        return self.select(np.isin(self.split, splits))

    def of_units(self, units: np.ndarray) -> Self:
        """Those of some units, by their numbers."""
        return self.select(np.isin(self.unit, units))

    def joined_with(self, other: Items) -> Self:
        """The questions of both, ours first."""
        width = max(self.ids.shape[1], other.ids.shape[1])
        ids = [pad_columns(each.ids, (0, width - each.ids.shape[1]), value=PADDING) for each in (self, other)]
        return replace(
            self,
            ids=torch.cat(ids),
            prompt_length=torch.cat([self.prompt_length, other.prompt_length]),
            answer_length=torch.cat([self.answer_length, other.answer_length]),
            kinds=tuple(dict.fromkeys([*self.kinds, *other.kinds])),
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in LABELS},
        )

    def first_units(self, count: int | None) -> Self:
        """The questions about the first `count` units of each split (all when None)."""
        if count is None:
            return self
        kept = [np.unique(self.unit[self.split == split])[:count] for split in np.unique(self.split)]
        return self.of_units(np.concatenate(kept))

    def with_prompts(self, rows: np.ndarray, prompts: Sequence[Sequence[int]], ended: bool = True) -> Self:
        """For each of `rows` its answer after another prompt, given as tokens; without the end token unless `ended`."""
        starts, lengths = self.prompt_length.numpy()[rows], self.answer_length.numpy()[rows] - (not ended)
        whole = [
            [*prompt, *self.ids[row, start : start + length].tolist()]
            for prompt, row, start, length in zip(prompts, rows, starts, lengths, strict=True)
        ]
        ids, prompt_length = pad(Ragged.from_lists(whole), np.arange(len(whole))), torch.tensor([len(prompt) for prompt in prompts])
        return replace(self.select(rows), ids=ids, prompt_length=prompt_length, answer_length=torch.from_numpy(lengths))

    def with_shuffled_answers(self, seed: int) -> Self:
        """Every answer replaced by that of another unit, a random derangement within each kind."""
        generator = np.random.default_rng([seed, 7])
        source = np.arange(len(self))
        for kind in np.unique(self.kind):
            rows = generator.permutation(np.flatnonzero(self.kind == kind))
            source[rows] = np.roll(rows, 1)
        sequences = [
            torch.cat([self.ids[row, : self.prompt_length[row]], self.ids[other, self.prompt_length[other] :][: self.answer_length[other]]])
            for row, other in enumerate(source)
        ]
        ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=PADDING)
        return replace(self, ids=ids, answer_length=self.answer_length[torch.from_numpy(source)])


def answer_positions(prompt_length: Tensor, answer_length: Tensor) -> tuple[Tensor, Tensor]:
    """(question, position) of every token whose output predicts an answer token; position + 1 is where that token stands."""
    question = torch.repeat_interleave(torch.arange(len(prompt_length), device=prompt_length.device), answer_length)
    first = answer_length.cumsum(0) - answer_length
    within = torch.arange(len(question), device=prompt_length.device) - first[question]
    return question, prompt_length[question] - 1 + within
