"""What a model is pretrained on, and how well it has read it: biographies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from forgetting.config.biography import ATTRIBUTES, PRETRAINED_GROUPS
from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.data.items import pad
from forgetting.model.anatomy import output_weight
from forgetting.scenarios.biography.batches import BiographyBatches
from forgetting.scenarios.biography.questions import read_questions
from forgetting.scenarios.biography.rendering import Renderer, read_templates
from forgetting.scenarios.biography.texts import Biographies
from forgetting.scenarios.biography.tokenizer import begin_tokens, encode, end_token, load_tokenizer
from forgetting.schemas.people import PEOPLE
from forgetting.tables import read_table


class Corpus:
    """The biographies of a data folder.

    batches: what pretraining trains on. vocabulary: entries of the tokenizer. inputs: the files that all this comes from.
    """

    def __init__(self, job: PretrainJob, data: Path, resources: Path) -> None:
        self.inputs = [data / "people.parquet", data / "biographies.arrow"]
        people = read_table(data / "people.parquet", PEOPLE)
        self.biographies = Biographies.load(data / "biographies.arrow")
        tokenizer = load_tokenizer(data / "tokenizer")
        end = end_token(tokenizer)
        templates, questions = read_templates(resources / "templates"), read_questions(resources / "questions.yaml")
        begin = begin_tokens(tokenizer)
        renderer = Renderer(people, templates, questions, lambda strings: encode(tokenizer, strings), end, begin=begin)
        persons = people.index[people["group"].isin(PRETRAINED_GROUPS)].to_numpy()
        self.batches = BiographyBatches(job.pretrain, job.data, renderer, persons, self.biographies.rows, job.seed, end)
        self.vocabulary: int = tokenizer.get_vocab_size()
        self.group_of_person = people["group"].to_numpy()

    def score(self, model: PreTrainedModel, batch_size: int) -> pd.DataFrame:
        """One row a stored fact: unit, split, kind, first_token_hard."""
        return biography_first_token(model, self.biographies, self.group_of_person, batch_size)


@torch.inference_mode()
def biography_first_token(model: PreTrainedModel, biographies: Biographies, group_of_person: np.ndarray, batch_size: int) -> pd.DataFrame:
    """Is the first token of each attribute's value the argmax when the biography up to there is read? One biography a person.

    Columns unit, split, kind, first_token_hard.
    """
    device = next(model.parameters()).device
    output = output_weight(model)
    persons, first_row = np.unique(biographies.person, return_index=True)
    pretrained = np.isin(group_of_person[persons], PRETRAINED_GROUPS)
    persons, first_row = persons[pretrained], first_row[pretrained]
    right = np.empty((len(persons), len(ATTRIBUTES)), dtype=bool)
    for start in range(0, len(persons), batch_size):
        rows = first_row[start : start + batch_size]
        ids = pad(biographies.rows, rows).to(device)
        starts = torch.from_numpy(biographies.value_starts[rows].astype(np.int64)).to(device)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        at = torch.arange(len(rows), device=device)[:, None]
        guess = (hidden[at, starts - 1] @ output.T).argmax(-1)
        right[start : start + batch_size] = (guess == ids[at, starts]).cpu().numpy()
    return pd.DataFrame(
        {
            "unit": np.repeat(persons, len(ATTRIBUTES)),
            "split": np.repeat(group_of_person[persons], len(ATTRIBUTES)),
            "kind": np.tile(np.array(ATTRIBUTES), len(persons)),
            "first_token_hard": right.ravel(),
        }
    )
