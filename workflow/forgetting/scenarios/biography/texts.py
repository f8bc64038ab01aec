"""Rendered biographies as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from forgetting.data.ragged import Ragged
from forgetting.tables import TableError


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

    @property
    def units(self) -> int:
        """How many persons they are about."""
        return len(np.unique(self.person))
