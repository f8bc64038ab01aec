"""Batches of pretraining: biographies, packed into rows of one length."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from forgetting.config.biography import ATTRIBUTES, TEMPLATES_PER_ATTRIBUTE, Data
from forgetting.config.sections import Pretrain
from forgetting.data.ragged import Ragged
from forgetting.errors import StudyError
from forgetting.scenarios.biography.rendering import Renderer, sentence_orders
from forgetting.training.batches import Batch, Batches, EpochOrder, text_batch


class BiographyBatches(Batches):
    """Biographies in a new random order every epoch; with `fresh`, also with new templates and sentence orders.

    `packing: document` gives one biography a row; `packing: stream` cuts the epoch's biographies, one after the other, into rows of
    `sequence_length`, within which attention stays in a document unless `attention: packed`.
    """

    def __init__(
        self, config: Pretrain, data: Data, renderer: Renderer, persons: np.ndarray, fixed: Ragged, seed: int, end_token: int
    ) -> None:
        self.config, self.data, self.renderer, self.persons, self.fixed, self.seed = config, data, renderer, persons, fixed, seed
        self.end_token = end_token
        self._epoch_rows = lru_cache(maxsize=2)(self._render)
        rows = len(persons) if config.fresh else len(fixed)
        self._refuse_to_cut(fixed)
        if config.packing == "stream":
            rows = max(1, int(self._epoch_rows(0).offsets[-1]) // config.sequence_length)
        self.rows_per_epoch = rows
        self.order = EpochOrder(rows, config.batch_size, seed)

    def _render(self, epoch: int) -> Ragged:
        """All biographies of an epoch, in reading order."""
        if not self.config.fresh:
            if self.config.packing == "document":
                return self.fixed
            order = np.random.default_rng([self.seed, 3, epoch]).permutation(len(self.fixed))
            return self.fixed.take(order[:, None])
        generator = np.random.default_rng([self.seed, 3, epoch])
        templates = generator.integers(0, TEMPLATES_PER_ATTRIBUTE, (len(self.persons), len(ATTRIBUTES)))
        order = sentence_orders(len(self.persons), self.data.permute, generator)
        persons = generator.permutation(self.persons)
        rendered = self.renderer.biographies(persons, templates, order, self.data.full_name)[0]
        self._refuse_to_cut(rendered)
        return rendered

    def _refuse_to_cut(self, biographies: Ragged) -> None:
        """Biographies that are rendered anew may be longer than the longest stored one."""
        longest = int(biographies.lengths.max())
        if self.config.packing == "document" and longest > self.config.sequence_length:
            raise StudyError(
                f"pretrain.sequence_length {self.config.sequence_length} would cut biographies, which have up to {longest} tokens"
            )

    def batch(self, step: int) -> Batch:
        index = np.arange(step * self.config.batch_size, (step + 1) * self.config.batch_size)
        epochs, numbers = index // self.rows_per_epoch, self.order.at(step)
        if self.config.packing == "document":
            return self._documents([self._epoch_rows(epoch) for epoch in epochs], numbers)
        return self._stream(epochs, numbers)

    def _documents(self, sources: list[Ragged], numbers: np.ndarray) -> Batch:
        rows = Ragged.from_arrays([source[number] for source, number in zip(sources, numbers, strict=True)])
        return text_batch(rows, np.arange(len(rows)))

    def _stream(self, epochs: np.ndarray, numbers: np.ndarray) -> Batch:
        length = self.config.sequence_length
        cut = []
        for epoch, number in zip(epochs, numbers, strict=True):
            tokens = self._epoch_rows(epoch).tokens
            # A fresh epoch can be a few tokens shorter than the first one, whose length fixed the number of rows.
            start = min(number * length, len(tokens) - length)
            cut.append(tokens[start : start + length])
        ids = torch.from_numpy(np.stack(cut).astype(np.int64))
        ends = ids == self.end_token
        row, position = (~ends[:, :-1]).nonzero(as_tuple=True)
        documents = ends.cumsum(1) - ends.long() if self.config.attention == "document" else None
        return Batch(ids, row, position, documents)
