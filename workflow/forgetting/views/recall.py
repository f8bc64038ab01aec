"""Is the fact still there when it is asked in another form?

Recall in the form of pretraining (a sentence of a biography up to the value) and in context (the question after solved ones), beside the
plain question. All teacher-forced, so an exact match is the same event as greedy generation giving exactly the value. And the plain
question with the choice narrowed to the values of its attribute: the likeliest of them is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Questions, pad
from forgetting.data.ragged import Ragged
from forgetting.evaluation.exact import score
from forgetting.intervals import summarise
from forgetting.scenarios.biography.rendering import Template
from forgetting.views.answer_change import Point
from forgetting.views.inputs import evenly_spaced_persons, read_model
from forgetting.views.pool_rank import own_pool_ranks, pool_rank_rows, value_pools

GROUPS = ("task0_test", "control")
"""Persons asked; `control` persons were never in a biography, so their recall is the floor of guessing by form."""
MOST_PERSONS = 512
TEMPLATES_ASKED = 3
"""Sentences for each fact, drawn from the 50 of its attribute."""
SHOTS = (1, 2, 3)
IN_CONTEXT_PERSONS = 30
"""Of each group: these questions are several times as long."""
RANKED_PERSONS = 15
"""Of each group: every value of the attribute is scored for each of these questions."""

Encode = Callable[[list[str]], list[list[int]]]


def biography_questions(
    questions: Questions, names: Mapping[int, str], templates: Mapping[str, list[Template]], encode: Encode, seed: int
) -> Questions:
    """Each fact as TEMPLATES_ASKED sentences about the person: the prompt is a sentence up to the value, the answer the value's tokens.

    There is no end token after the value, since a sentence goes on. A sentence stands alone, as the first of a biography, so that no other
    attribute is given (the company would give away its city). names: full name by person.
    """
    generator = np.random.default_rng([seed, 11])
    fact = np.repeat(np.arange(len(questions)), TEMPLATES_ASKED)
    prompts = []
    for person, attribute in zip(questions.person, questions.attribute, strict=True):
        for number in generator.choice(len(templates[attribute]), TEMPLATES_ASKED, replace=False):
            template = templates[attribute][number]
            prompts.append(f"{template.opening} {names[person]}{template.middle}")
    return _with_prompts(questions, fact, encode(prompts), ended=False)


def in_context_questions(questions: Questions, solved: Questions, shots: int, seed: int) -> Questions:
    """Each question after `shots` solved ones, end tokens included, of random other persons in `solved` at the same attribute.

    Raises ValueError when an attribute has too few other persons.
    """
    generator = np.random.default_rng([seed, 13, shots])
    examples = {attribute: np.flatnonzero(solved.attribute == attribute) for attribute in np.unique(questions.attribute)}
    length = (solved.prompt_length + solved.answer_length).numpy()
    prompts = []
    for row in range(len(questions)):
        others = examples[questions.attribute[row]]
        chosen = generator.choice(others[solved.person[others] != questions.person[row]], shots, replace=False)
        shown = [solved.ids[each, : length[each]] for each in chosen]
        prompts.append(torch.cat([*shown, questions.ids[row, : questions.prompt_length[row]]]).tolist())
    return _with_prompts(questions, np.arange(len(questions)), prompts, ended=True)


def _with_prompts(questions: Questions, fact: NDArray[np.intp], prompts: list[list[int]], ended: bool) -> Questions:
    """For each of `fact`, a row of `questions`, its answer after another prompt; without the end token unless `ended`."""
    starts = questions.prompt_length.numpy()[fact]
    lengths = questions.answer_length.numpy()[fact] - (not ended)
    rows = [
        [*prompt, *questions.ids[row, start : start + length].tolist()]
        for prompt, row, start, length in zip(prompts, fact, starts, lengths, strict=True)
    ]
    return Questions(
        pad(Ragged.from_lists(rows), np.arange(len(rows))),
        torch.tensor([len(prompt) for prompt in prompts]),
        torch.from_numpy(lengths),
        questions.person[fact],
        questions.group[fact],
        questions.attribute[fact],
    )


def recall_forms(
    job: AnswersJob, questions: Questions, names: Mapping[int, str], templates: Mapping[str, list[Template]], encode: Encode
) -> dict[str, Questions]:
    """The facts of GROUPS (persons of the evaluation, at most MOST_PERSONS a group) in every form, by its name."""
    asked = _of_each_group(questions.of_groups(*GROUPS).first_persons(job.evaluation.persons_per_group), MOST_PERSONS)
    fewer, solved = _of_each_group(asked, IN_CONTEXT_PERSONS), questions.of_groups("task0_train")
    in_context = {f"in_context_{shots}": in_context_questions(fewer, solved, shots, job.seed) for shots in SHOTS}
    return {"question": asked, "biography": biography_questions(asked, names, templates, encode, job.seed), **in_context}


def _of_each_group(questions: Questions, persons: int) -> Questions:
    groups = [evenly_spaced_persons(questions.of_groups(group), persons) for group in np.unique(questions.group)]
    return questions.of_persons(np.concatenate([group.person for group in groups]))


def recall(
    job: AnswersJob, points: Iterable[Point], questions: Questions, forms: Mapping[str, Questions], device: torch.device
) -> pd.DataFrame:
    """Rows of RECALL: every form at every checkpoint, one model in memory at a time. `questions`: all of the data, for the values."""
    pools, ranked = value_pools(questions), _of_each_group(forms["question"], RANKED_PERSONS)
    answered, narrowed = [], []
    for point in points:
        model, here = read_model(point.folder, device), {"point": point.name, "step": point.step}
        for form, asked in forms.items():
            answered.append(score(model, asked, job.evaluation.batch_size).assign(form=form, **here))
        rows = pool_rank_rows(ranked, own_pool_ranks(model, ranked, pools), pools)
        narrowed.append(rows.assign(form="among_values", **here))
    by_form = summarise(pd.concat(answered, ignore_index=True), ["point", "step", "form"])
    return pd.concat([by_form, *narrowed], ignore_index=True).assign(scale=job.scale, seed=job.seed, arm=job.arm)
