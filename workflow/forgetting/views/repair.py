"""A repair without training: estimate the shift that old answers share from a few facts, and subtract it from all others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.config.sections import ATTRIBUTES
from forgetting.data.items import Questions
from forgetting.intervals import PROPORTIONS, TAILS, Interval, person_bootstrap, wilson
from forgetting.views.answer_change import GROUPINGS, ROWS_AT_ONCE, Change, Space, leading

KNOWN = (1, 2, 4, 8, 16, 32, 64)
"""From how many facts, or persons with all their facts, the shift is estimated."""
UNITS = ("facts", "persons")
CASES = {"logits": list(product(GROUPINGS, UNITS)), "residual_stream": [("attribute_position", "persons")]}
"""(grouping, unit) by space. In the residual stream every draw costs a product with the output embedding, so only one case is measured."""
POOL_PERSONS = 128
"""Of `task0_train`, from which the facts are drawn."""
REPAIR_DRAWS = 10
BOOTSTRAP_DRAWS = 1000


def repaired(space: Space, known: Change, asked: Change, grouping: str, draws: Iterable[NDArray[np.integer]]) -> Tensor:
    """Right tokens (C, R) of `asked` after subtracting the mean change of some questions of `known`.

    draws: C arrays of question numbers of `known`. Groups in which a draw has no token (other attributes, longer answers) stay as they are.
    """
    group, asked_group = known.tokens.groups(grouping), asked.tokens.groups(grouping)
    groups = int(torch.cat([group, asked_group]).max()) + 1
    question, device, changes = known.tokens.question.numpy(), known.after.device, known.difference
    means = []
    for questions in draws:
        rows = torch.from_numpy(np.flatnonzero(np.isin(question, questions)))
        code = group[rows]
        sums = torch.zeros(groups, changes.shape[1], dtype=changes.dtype, device=device)
        sums.index_add_(0, code.to(device), changes[rows.to(device)])
        means.append(sums / torch.bincount(code, minlength=groups).clamp_min(1).to(device)[:, None])
    shifts = torch.stack(means)
    right = torch.empty(len(shifts), len(asked_group), dtype=torch.bool)
    for number in torch.unique(asked_group):
        for rows in torch.nonzero(asked_group == number)[:, 0].split(ROWS_AT_ONCE):
            corrected = space.corrected(asked.after[rows.to(device)], shifts[:, number])
            for draw, logits in enumerate(corrected):
                right[draw, rows] = leading(logits, asked.tokens.target[rows])
    return right


def random_draws(questions: Questions, unit: str, known: int, seed: int) -> list[NDArray[np.integer]]:
    """Question numbers of REPAIR_DRAWS random choices of `known` facts, or of `known` persons with all their facts."""
    generator = np.random.default_rng([seed, known, UNITS.index(unit)])
    if unit == "facts":
        return [generator.choice(len(questions), known, replace=False) for _ in range(REPAIR_DRAWS)]
    everyone = np.unique(questions.person)
    chosen = [generator.choice(everyone, known, replace=False) for _ in range(REPAIR_DRAWS)]
    return [np.flatnonzero(np.isin(questions.person, persons)) for persons in chosen]


def drawn_accuracy(right: NDArray[np.bool_], person: NDArray[np.int64], weights: NDArray[np.float64]) -> Interval:
    """Mean of (C, n) answers over draws and questions; the interval is that of one random draw, for a bootstrap sample of persons.

    person (n,): numbers 0 to P - 1; weights (bootstrap samples, P): how often each person is in each.
    """
    sizes = np.bincount(person)
    totals = np.stack([np.bincount(person, answers, len(sizes)) for answers in right.astype(float)], axis=1)
    low, high = np.quantile(weights @ totals / (weights @ sizes)[:, None], TAILS)
    if low == high:  # all answers alike: resampled persons cannot say how sure that is
        low, high = wilson(right.mean() * len(sizes), len(sizes))
    return Interval(float(right.mean()), float(low), float(high))


def repair_rows(space: Space, known: Change, asked: Change, seed: int) -> pd.DataFrame:
    """Rows of COMMON_SHIFT_REPAIR for one checkpoint and space; numbers of facts or persons that `known` does not have are left out."""
    questions, of = known.tokens.questions, asked.tokens.questions
    available = {"facts": len(questions), "persons": len(np.unique(questions.person))}
    person = np.unique(of.person, return_inverse=True)[1]
    weights = person_bootstrap(int(person.max()) + 1, BOOTSTRAP_DRAWS, seed)
    rows: list[tuple[object, ...]] = []
    for grouping, unit in CASES[space.name]:
        counts = [count for count in KNOWN if count <= available[unit]]
        draws = [draw for count in counts for draw in random_draws(questions, unit, count, seed)]
        answers = [asked.tokens.question_right(tokens) for tokens in repaired(space, known, asked, grouping, draws)]
        for (number, count), (which, metric) in product(enumerate(counts), enumerate(PROPORTIONS)):
            scored = np.stack([pair[which] for pair in answers[number * REPAIR_DRAWS :][:REPAIR_DRAWS]])
            for attribute in ("all", *ATTRIBUTES):
                some = slice(None) if attribute == "all" else of.attribute == attribute
                rows.append((attribute, grouping, unit, count, metric, *drawn_accuracy(scored[:, some], person[some], weights)))
    columns = ["attribute", "grouping", "unit", "known", "metric", *Interval._fields]
    return pd.DataFrame(rows, columns=columns).assign(space=space.name, draws=REPAIR_DRAWS)
