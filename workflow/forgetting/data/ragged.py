"""Rows of different lengths in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Token sequences of different lengths, one after the other: row i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.tokens[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return cls(np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1])), offsets)

    @classmethod
    def from_arrays(cls, rows: Sequence[np.ndarray]) -> Ragged:
        return cls(np.concatenate(rows), np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64))

    def slice(self, rows: slice) -> Ragged:
        """Consecutive rows, without copying tokens."""
        return Ragged(self.tokens, self.offsets[rows.start : rows.stop + 1])

    @classmethod
    def interleave(cls, left: Ragged, right: Ragged) -> Ragged:
        """left[0] + right[0], left[1] + right[1], ..."""
        both = cls(
            np.concatenate([left.tokens[left.offsets[0] : left.offsets[-1]], right.tokens[right.offsets[0] : right.offsets[-1]]]),
            np.concatenate([left.offsets - left.offsets[0], right.offsets[1:] - right.offsets[0] + left.offsets[-1] - left.offsets[0]]),
        )
        return both.take(np.arange(2 * len(left)).reshape(2, -1).T)

    def take(self, rows: np.ndarray) -> Ragged:
        """Concatenate whole rows: `rows` (m, k) of row numbers gives m sequences, each k of ours joined."""
        flat = rows.ravel()
        lengths = self.lengths[flat]
        ends = np.cumsum(lengths)
        starts = self.offsets[flat]
        index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return Ragged(self.tokens[index], np.concatenate([[0], ends[rows.shape[1] - 1 :: rows.shape[1]]]))
