"""Questions and biographies as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from forgetting.data.ragged import Ragged
from forgetting.schemas.questions import QUESTIONS
from forgetting.tables import TableError, read_table

PADDING = 0


def pad(rows: Ragged, index: np.ndarray) -> Tensor:
    """The rows `index` (m,) as one (m, longest) LongTensor, padded on the right.

    No attention mask is needed with it: attention is causal, so no token sees the padding that follows it.
    """
    lengths = rows.lengths[index]
    columns = np.arange(int(lengths.max(initial=1)))
    source = rows.offsets[index][:, None] + np.minimum(columns, lengths[:, None] - 1)
    return torch.from_numpy(np.where(columns < lengths[:, None], rows.tokens[source], PADDING).astype(np.int64))


@dataclass(frozen=True)
class Questions:
    """n questions with their answers.

    ids: (n, T) prompt + answer + end token, right-padded. prompt_length, answer_length: (n,), the answer with its end token.
    person, group, attribute: (n,) numpy arrays.
    """

    ids: Tensor
    prompt_length: Tensor
    answer_length: Tensor
    person: np.ndarray
    group: np.ndarray
    attribute: np.ndarray

    @classmethod
    def load(cls, path: str | Path) -> Questions:
        """Read `qa.parquet`. Raises TableError that names a missing or broken file."""
        frame = read_table(path, QUESTIONS, ["person", "group", "attribute", "prompt_ids", "answer_ids"])
        prompts, answers = Ragged.from_lists(frame["prompt_ids"]), Ragged.from_lists(frame["answer_ids"])
        whole = Ragged.interleave(prompts, answers)
        return cls(
            pad(whole, np.arange(len(whole))),
            torch.from_numpy(prompts.lengths),
            torch.from_numpy(answers.lengths),
            frame["person"].to_numpy(),
            frame["group"].to_numpy(dtype=object),
            frame["attribute"].to_numpy(dtype=object),
        )

    def __len__(self) -> int:
        return len(self.person)

    def select(self, rows: np.ndarray) -> Self:
        """The questions at `rows`, an index or a boolean mask, in that order."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        tensor_index = torch.from_numpy(index)
        kept = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(column[tensor_index if isinstance(column, Tensor) else index] for column in kept))

    def of_groups(self, *groups: str) -> Self:
        return self.select(np.isin(self.group, groups))

    def of_persons(self, persons: np.ndarray) -> Self:
        return self.select(np.isin(self.person, persons))

    def joined_with(self, other: Questions) -> Questions:
        """The questions of both, ours first."""
        width = max(self.ids.shape[1], other.ids.shape[1])
        ids = [torch.nn.functional.pad(each.ids, (0, width - each.ids.shape[1]), value=PADDING) for each in (self, other)]
        return Questions(
            torch.cat(ids),
            torch.cat([self.prompt_length, other.prompt_length]),
            torch.cat([self.answer_length, other.answer_length]),
            np.concatenate([self.person, other.person]),
            np.concatenate([self.group, other.group]),
            np.concatenate([self.attribute, other.attribute]),
        )

    def first_persons(self, count: int | None) -> Self:
        """The questions about the first `count` persons of each group (all when None)."""
        if count is None:
            return self
        kept = [np.unique(self.person[self.group == group])[:count] for group in np.unique(self.group)]
        return self.of_persons(np.concatenate(kept))

    def with_shuffled_answers(self, seed: int) -> Self:
        """Every answer replaced by that of another person, a random derangement within each attribute."""
        generator = np.random.default_rng([seed, 7])
        source = np.arange(len(self))
        for attribute in np.unique(self.attribute):
            rows = generator.permutation(np.flatnonzero(self.attribute == attribute))
            source[rows] = np.roll(rows, 1)
        sequences = [
            torch.cat([self.ids[row, : self.prompt_length[row]], self.ids[other, self.prompt_length[other] :][: self.answer_length[other]]])
            for row, other in enumerate(source)
        ]
        ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=PADDING)
        return type(self)(ids, self.prompt_length, self.answer_length[torch.from_numpy(source)], self.person, self.group, self.attribute)


@dataclass(frozen=True)
class Biographies:
    """Rendered biographies: token rows, the person of each, and (m, 6) where the first token of each attribute's value is."""

    rows: Ragged
    person: np.ndarray
    value_starts: np.ndarray

    @classmethod
    def load(cls, path: str | Path) -> Biographies:
        """Read `biographies.arrow`. Raises TableError that names a missing or truncated file."""
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_stream(source).read_all().combine_chunks()
        except (pa.ArrowInvalid, OSError) as error:
            raise TableError(f"{path}: not a readable Arrow file ({error}); delete it and run again") from None
        ids = table["input_ids"].chunk(0)
        starts = table["value_starts"].chunk(0).flatten().to_numpy().reshape(len(ids), -1)
        rows = Ragged(ids.values.to_numpy(), ids.offsets.to_numpy().astype(np.int64))
        return cls(rows, table["person"].to_numpy(), starts)


def answer_positions(prompt_length: Tensor, answer_length: Tensor) -> tuple[Tensor, Tensor]:
    """(question, position) of every token whose output predicts an answer token; position + 1 is where that token stands."""
    question = torch.repeat_interleave(torch.arange(len(prompt_length), device=prompt_length.device), answer_length)
    first = answer_length.cumsum(0) - answer_length
    within = torch.arange(len(question), device=prompt_length.device) - first[question]
    return question, prompt_length[question] - 1 + within
