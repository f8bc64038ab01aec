"""Is the fact still there when it is asked in another form?

Recall in the form of pretraining (a sentence of a biography up to the value) and in context (the question after solved ones, or after the
statement of the fact itself), beside the plain question. Controls of what stands before the question: solved ones with the answers of
others, and the statement of the same kind of fact about another unit. All teacher-forced, so an exact match is the same event as greedy
generation giving exactly the value. And the plain question with the choice narrowed to the values of its kind: the likeliest of them is
the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.evaluation.exact import score
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT
from forgetting.views.answer_change import Point
from forgetting.views.inputs import evenly_spaced_units, read_model
from forgetting.views.pool_rank import own_pool_ranks, pool_rank_rows, value_pools

SPLITS = ("task0_test", "control")
"""Units asked; `control` units were never in a biography, so their recall is the floor of guessing by form."""
MOST_UNITS = 512
SHOTS = (1, 2, 3, 4)
SHUFFLED_SHOTS = (1, 4)
"""Of them: also with shuffled answers."""
IN_CONTEXT_UNITS = 30
"""Of each split: these questions are several times as long."""
RANKED_UNITS = 15
"""Of each split: every value of the kind is scored for each of these questions."""


def in_context_questions(questions: Items, solved: Items, shots: int, seed: int) -> Items:
    """Each question after `shots` solved ones, end tokens included, of random other units in `solved` at the same kind.

    Raises ValueError when a kind has too few other units.
    """
    generator = np.random.default_rng([seed, 13, shots])
    examples = {kind: np.flatnonzero(solved.kind == kind) for kind in np.unique(questions.kind)}
    length = (solved.prompt_length + solved.answer_length).numpy()
    prompts = []
    for row in range(len(questions)):
        others = examples[questions.kind[row]]
        chosen = generator.choice(others[solved.unit[others] != questions.unit[row]], shots, replace=False)
        shown = [solved.ids[each, : length[each]] for each in chosen]
        prompts.append(torch.cat([*shown, questions.ids[row, : questions.prompt_length[row]]]).tolist())
    return questions.with_prompts(np.arange(len(questions)), prompts)


def stated_questions(questions: Items, stated: Items, rows: np.ndarray) -> Items:
    """Each question after a statement, closed by an end token as a text is: `rows` of `stated`, whose answers have none."""
    length = (stated.prompt_length + stated.answer_length).numpy()
    prompts = []
    for row, shown in enumerate(rows):
        start = int(questions.prompt_length[row])
        end = questions.ids[row, start + int(questions.answer_length[row]) - 1]
        prompts.append(torch.cat([stated.ids[shown, : length[shown]], end[None], questions.ids[row, :start]]).tolist())
    return questions.with_prompts(np.arange(len(questions)), prompts)


def of_another_unit(questions: Items) -> np.ndarray:
    """(n,) for each question the row of one of the same split and kind about another unit."""
    source = np.arange(len(questions))
    for split, kind in {*zip(questions.split, questions.kind, strict=True)}:
        rows = np.flatnonzero((questions.split == split) & (questions.kind == kind))
        source[rows] = np.roll(rows, 1)
    return source


def recall_forms(job: AnswersJob, questions: Items, as_pretrained: Callable[[Items], Items]) -> dict[str, Items]:
    """The facts of SPLITS (units of the evaluation, at most MOST_UNITS a split) in every form, by its name.

    as_pretrained: puts questions in the form in which pretraining gave their facts.
    """
    asked = _of_each_split(questions.of(*SPLITS).first_units(job.evaluation.units_per_split), MOST_UNITS)
    fewer, solved = _of_each_split(asked, IN_CONTEXT_UNITS), questions.of("task0_train")
    in_context = {f"in_context_{shots}": in_context_questions(fewer, solved, shots, job.seed) for shots in SHOTS}
    shuffled = solved.with_shuffled_answers(job.seed)
    in_context |= {f"shuffled_{shots}": in_context_questions(fewer, shuffled, shots, job.seed) for shots in SHUFFLED_SHOTS}
    stated = as_pretrained(fewer)
    first = np.arange(len(fewer)) * (len(stated) // len(fewer))  # of the statements of each fact
    in_context |= {"stated": stated_questions(fewer, stated, first)}
    in_context |= {"stated_of_another": stated_questions(fewer, stated, first[of_another_unit(fewer)])}
    return {"question": asked, "biography": as_pretrained(asked), **in_context}


def _of_each_split(questions: Items, units: int) -> Items:
    kept = [evenly_spaced_units(questions.of(split), units).unit for split in np.unique(questions.split)]
    return questions.of_units(np.concatenate(kept))


def recall(job: AnswersJob, points: Iterable[Point], questions: Items, forms: Mapping[str, Items], device: torch.device) -> pd.DataFrame:
    """Rows of RECALL: every form at every checkpoint, one model in memory at a time. `questions`: all of the data, for the values."""
    pools, ranked = value_pools(questions), _of_each_split(forms["question"], RANKED_UNITS)
    answered, narrowed = [], []
    for point in points:
        model, here = read_model(point.folder, device), {"point": point.name, "step": point.step}
        for form, asked in forms.items():
            answered.append(score(model, asked, job.evaluation.batch_size).assign(form=form, **here))
        rows = pool_rank_rows(ranked, own_pool_ranks(model, ranked, pools), pools)
        narrowed.append(rows.assign(form="among_values", **here))
    by_form = summarise(pd.concat(answered, ignore_index=True), ["point", "step", "form"], EXACT)
    return pd.concat([by_form, *narrowed], ignore_index=True).assign(scale=job.scale, seed=job.seed, arm=job.arm)
