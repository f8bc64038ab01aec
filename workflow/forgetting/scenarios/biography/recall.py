"""Facts asked in the form of pretraining: as a sentence of a biography up to the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forgetting.data.items import Items
from forgetting.scenarios.biography.rendering import read_templates
from forgetting.scenarios.biography.tokenizer import encode_prompts, load_tokenizer
from forgetting.schemas.people import PEOPLE
from forgetting.tables import read_table

TEMPLATES_ASKED = 3
"""Sentences for each fact, drawn from the 50 of its attribute."""


def in_sentences(questions: Items, data: Path, templates: Path, seed: int) -> Items:
    """Each fact as TEMPLATES_ASKED sentences about the person: the prompt is a sentence up to the value, the answer the value's tokens.

    There is no end token after the value, since a sentence goes on. A sentence stands alone, as the first of a biography, so that no other
    attribute is given (the company would give away its city). data, templates: the folders of the data and of the sentence templates.
    """
    sentences, tokenizer = read_templates(templates), load_tokenizer(data / "tokenizer")
    people = read_table(data / "people.parquet", PEOPLE, ["person", "full_name"])
    names = dict(zip(people["person"], people["full_name"], strict=True))
    generator = np.random.default_rng([seed, 11])
    prompts = []
    for person, attribute in zip(questions.unit, questions.kind, strict=True):
        for number in generator.choice(len(sentences[attribute]), TEMPLATES_ASKED, replace=False):
            template = sentences[attribute][number]
            prompts.append(f"{template.opening} {names[person]}{template.middle}")
    fact = np.repeat(np.arange(len(questions)), TEMPLATES_ASKED)
    return questions.with_prompts(fact, encode_prompts(tokenizer, prompts), ended=False)
