"""A user's own questions, as they were tokenised and split, and how a model is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from forgetting.config.asked import Asked, Measure
from forgetting.data.items import Items
from forgetting.evaluation.choice import likeliest
from forgetting.evaluation.exact import score
from forgetting.evaluation.generation import TEXT_MEASURES, greedy, text_scores
from forgetting.model.checkpoints import pick_device
from forgetting.model.given import load_given, load_given_tokenizer, require_fit
from forgetting.schemas.diagnosis import ROWS
from forgetting.schemas.items import ITEMS
from forgetting.tables import read_table

MEASURED = ["question", "unit", "split", "kind", "score", "exact_match", "answer_nll"]
SAME_ALONE = 16
"""Questions that are also asked one at a time."""


class GivenQuestions:
    """The questions in the folder `data`: items.parquet and rows.parquet."""

    def __init__(self, config: Asked, data: Path) -> None:
        self.config = config
        self.items = Items.load(data / "items.parquet")
        self.rows = read_table(data / "rows.parquet", ROWS)
        self.answers = read_table(data / "items.parquet", ITEMS, ["answer"])["answer"].tolist()
        self.tokenizer = load_given_tokenizer(config.tokenizer or config.before, trust_remote_code=config.trust_remote_code)

    def where(self, *splits: str) -> np.ndarray:
        """Places of the questions of these splits."""
        return np.flatnonzero(np.isin(self.items.split, splits))

    def load_named(self, name: str) -> PreTrainedModel:
        """A model by folder or hub name, on the device of this job. Raises StudyError."""
        model = load_given(name, trust_remote_code=self.config.trust_remote_code)
        require_fit(model, self.tokenizer, name)
        return model.to(pick_device()).eval()

    def measured(self, model: PreTrainedModel, places: np.ndarray) -> pd.DataFrame:
        """Columns MEASURED of the questions at `places`; score: the measure of the config, from 0 to 1."""
        questions = self.items.select(places)
        found = score(model, questions, self.config.batch_size).assign(question=places)
        rated = found["exact_match"].astype(float) if self.config.measure == "exact" else self.scores(model, places, self.config.measure)
        return found.assign(score=np.asarray(rated, dtype=float))[MEASURED]

    def scores(self, model: PreTrainedModel, places: np.ndarray, measure: Measure) -> list[float]:
        """One measure of each question at `places`, from 0 to 1."""
        prompts = [self.prompt(place) for place in places]
        if measure == "exact":
            return score(model, self.items.select(places), self.config.batch_size)["exact_match"].astype(float).tolist()
        if measure in TEXT_MEASURES:
            texts = greedy(model, self.tokenizer, prompts, self.config.new_tokens, self.config.batch_size)
            return text_scores(measure, texts, [self.answers[place] for place in places])
        choices = [[list(choice) for choice in self.rows["choice_ids"].iloc[place]] for place in places]
        chosen = likeliest(model, prompts, choices, self.config.batch_size)[0 if measure == "choice" else 1]
        options = [list(self.rows["choices"].iloc[place]) for place in places]
        return [float(of_one[place] == self.answers[question]) for of_one, place, question in zip(options, chosen, places, strict=True)]

    def prompt(self, place: int) -> list[int]:
        return self.items.ids[place, : self.items.prompt_length[place]].tolist()

    def same_alone(self, model: PreTrainedModel, split: str) -> float:
        """Share of a few questions of the split that are scored the same alone as in a batch."""
        places = self.where(split)[:SAME_ALONE]
        together = self.measured(model, places)
        alone = pd.concat([self.measured(model, places[[number]]) for number in range(len(places))], ignore_index=True)
        same = np.isclose(together["score"], alone["score"], atol=1e-3) & np.isclose(together["answer_nll"], alone["answer_nll"], atol=1e-2)
        return float(same.mean())
