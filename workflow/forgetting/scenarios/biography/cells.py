"""Task 1 in other values and another form, for the crossed experiment of both (docs/definitions.md).

The persons of Task 1 are the same in every cell, by their names and numbers. A cell is called `<values>-<format>`: `all-same` is Task 1 as
`items.parquet` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES, HALVES, TEMPLATES_PER_ATTRIBUTE
from forgetting.config.jobs.data import DataJob
from forgetting.data.cells import HALF_TABLE, cell_file
from forgetting.errors import StudyError
from forgetting.scenarios.biography.people import WHOLE, ValueTables, draw_people, group_names, halves
from forgetting.scenarios.biography.questions import CUE, read_other_wordings, read_questions
from forgetting.scenarios.biography.rendering import read_templates
from forgetting.scenarios.biography.tokenizer import encode, end_token, load_tokenizer
from forgetting.schemas.halves import HALVES_OF_UNITS
from forgetting.schemas.items import ITEMS
from forgetting.tables import write_table

_TEMPLATE_STREAM = 17


def write_cells(job: DataJob, cells: Sequence[str], resources: Path, data: Path) -> None:
    """Write Task 1 of each cell into `data`, the folder of the data stage, as ITEMS; and of which half every unit is."""
    groups = job.data.groups
    tables = ValueTables.read(resources / "pools", job.data.pools)
    for cell in cells:
        values, _, form = cell.partition("-")
        half_of = halves(groups, HALVES[1] if values == "half" else WHOLE) if job.data.halves else None
        people = draw_people(groups, tables, job.seed, half_of).frame(tables)
        write_table(_items(people[people["group"] == "task1"], form, job.seed, resources, data), cell_file(data, cell), ITEMS)
    half = halves(groups) if job.data.halves else np.full(groups.total, WHOLE, dtype=object)
    split = group_names(groups)
    units = pd.DataFrame({"seed": job.seed, "unit": np.arange(groups.total), "split": split, "half": half})
    write_table(units, data / HALF_TABLE, HALVES_OF_UNITS)


def _items(people: pd.DataFrame, form: str, seed: int, resources: Path, data: Path) -> pd.DataFrame:
    """ITEMS of these persons, asked in a form: `same` or `other` wording of the questions, or a `statement`.

    A statement is one sentence of a biography up to the value, by one template a fact, drawn once. What is trained and asked is the value;
    there is no end token after it, since a sentence goes on.
    """
    tokenizer = load_tokenizer(data / "tokenizer")
    facts = [(name, attribute) for name in people["full_name"] for attribute in ATTRIBUTES]
    if form == "statement":
        prompts = _openings(facts, resources / "templates", seed)
    else:
        texts = read_other_wordings(resources / "other_wordings.yaml")
        if form == "same":
            texts = {attribute: text + CUE for attribute, text in read_questions(resources / "questions.yaml").items()}
        prompts = [texts[attribute].format(name=name) for name, attribute in facts]
    answers = [" " + value for row in people[list(ATTRIBUTES)].itertuples(index=False) for value in row]
    ended = [] if form == "statement" else [end_token(tokenizer)]
    tokens = {name: encode(tokenizer, texts) for name, texts in (("prompt", prompts), ("answer", answers))}
    whole = encode(tokenizer, [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)])
    for text, prompt, answer, joined in zip(prompts, tokens["prompt"], tokens["answer"], whole, strict=True):
        if joined != [*prompt, *answer]:
            raise StudyError(f"the tokenizer joins {text!r} and what follows it")
    return pd.DataFrame(
        {
            "task": "task1",
            "split": "task1",
            "unit": np.repeat(people["person"].to_numpy(), len(ATTRIBUTES)),
            "kind": np.tile(np.array(ATTRIBUTES), len(people)),
            "measured": True,
            "prompt": prompts,
            "answer": answers,
            "prompt_ids": tokens["prompt"],
            "answer_ids": [[*answer, *ended] for answer in tokens["answer"]],
        }
    )


def _openings(facts: Sequence[tuple[str, str]], folder: Path, seed: int) -> list[str]:
    """For each (full name, attribute) a sentence about the person up to the value, as the first of a biography."""
    sentences = read_templates(folder)
    numbers = np.random.default_rng([seed, _TEMPLATE_STREAM]).integers(TEMPLATES_PER_ATTRIBUTE, size=len(facts))
    chosen = [sentences[attribute][number] for (_, attribute), number in zip(facts, numbers, strict=True)]
    return [f"{template.opening} {name}{template.middle}" for template, (name, _) in zip(chosen, facts, strict=True)]
