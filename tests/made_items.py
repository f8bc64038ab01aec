"""Items that a test makes up."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from forgetting.data.items import Items


def made_items(ids: Tensor, prompt_length: Tensor, answer_length: Tensor, unit: np.ndarray, split: np.ndarray, kind: np.ndarray) -> Items:
    """As read from a file of these rows; a split belongs to the task that its name begins with."""
    task = np.array([name.split("_")[0] for name in split], dtype=object)
    kinds = tuple(dict.fromkeys(kind.tolist()))
    return Items(ids, prompt_length, answer_length, task, split, unit, kind, np.full(len(unit), True), kinds)
