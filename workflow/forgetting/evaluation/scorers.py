"""How the answers of a model are scored: what counts as right, and what else is measured of each question.

A new way is a class here or beside this file, and its line in SCORERS.
"""

from __future__ import annotations

from typing import Protocol

import pandas as pd
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.evaluation.exact import score
from forgetting.intervals import Measures
from forgetting.schemas.facts import EXACT


class Scorer(Protocol):
    """Scores a model on questions.

    measures: the columns that it gives, one of them the accuracy. Called, it returns one row a question, in their order: unit, split,
    kind and these columns. It draws nothing at random.
    """

    @property
    def measures(self) -> Measures: ...

    def __call__(self, model: PreTrainedModel, items: Items, batch_size: int) -> pd.DataFrame: ...


class TeacherForced:
    """Exact match: every token of the answer is the most likely one after the right ones before it (`evaluation/exact.py`)."""

    measures = EXACT

    def __call__(self, model: PreTrainedModel, items: Items, batch_size: int) -> pd.DataFrame:
        return score(model, items, batch_size)


SCORERS: dict[str, Scorer] = {"exact": TeacherForced()}
"""By the name that a job gives (`scorer`)."""
