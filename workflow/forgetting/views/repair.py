"""A repair without training: estimate the shift that old answers share from a few facts, and subtract it from all others.

Its control subtracts random shifts of the same lengths.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.data.items import Items
from forgetting.intervals import TAILS, Interval, unit_bootstrap, wilson
from forgetting.schemas.facts import EXACT
from forgetting.views.answer_change import GROUPINGS, ROWS_AT_ONCE, Change, Space, leading
from forgetting.views.shift_remedy import random_shifts

KNOWN = (1, 2, 4, 8, 16, 32, 64)
"""From how many facts, or units with all their facts, the shift is estimated."""
COUNTED = ("facts", "units")
RANDOM_KNOWN = (1, 16)
"""Of how many units there is the control: counted is then RANDOM."""
RANDOM = "random"
CASES: dict[str, list[tuple[str, str, tuple[int, ...]]]] = {
    "logits": [(*case, KNOWN) for case in product(GROUPINGS, COUNTED)],
    "residual_stream": [("kind_position", "units", KNOWN), ("kind_position", RANDOM, RANDOM_KNOWN)],
}
"""(grouping, counted, numbers) by space. In the residual stream every draw costs a product with the output embedding, so there are few."""
POOL_UNITS = 128
"""Of `task0_train`, from which the facts are drawn."""
REPAIR_DRAWS = 10
BOOTSTRAP_DRAWS = 1000


def repaired(
    space: Space, known: Change, asked: Change, grouping: str, draws: Iterable[NDArray[np.integer]], random: int | None = None
) -> Tensor:
    """Right tokens (C, R) of `asked` after subtracting the mean change of some questions of `known`.

    draws: C arrays of question numbers of `known`. Groups in which a draw has no token (other kinds, longer answers) stay as they are.
    random: the seed of the random vectors, each as long as the mean change in whose place it is subtracted; None: the mean change itself.
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
    shifts = torch.stack(means) if random is None else random_shifts(torch.stack(means), random)
    right = torch.empty(len(shifts), len(asked_group), dtype=torch.bool)
    for number in torch.unique(asked_group):
        for rows in torch.nonzero(asked_group == number)[:, 0].split(ROWS_AT_ONCE):
            corrected = space.corrected(asked.after[rows.to(device)], shifts[:, number])
            for draw, logits in enumerate(corrected):
                right[draw, rows] = leading(logits, asked.tokens.target[rows])
    return right


def random_draws(questions: Items, counted: str, known: int, seed: int) -> list[NDArray[np.integer]]:
    """Question numbers of REPAIR_DRAWS random choices of `known` facts, or of `known` units with all their facts (also for RANDOM)."""
    generator = np.random.default_rng([seed, known, int(counted != "facts")])
    if counted == "facts":
        return [generator.choice(len(questions), known, replace=False) for _ in range(REPAIR_DRAWS)]
    everyone = np.unique(questions.unit)
    chosen = [generator.choice(everyone, known, replace=False) for _ in range(REPAIR_DRAWS)]
    return [np.flatnonzero(np.isin(questions.unit, units)) for units in chosen]


def drawn_accuracy(right: NDArray[np.bool_], unit: NDArray[np.int64], weights: NDArray[np.float64]) -> Interval:
    """Mean of (C, n) answers over draws and questions; the interval is that of one random draw, for a bootstrap sample of units.

    unit (n,): numbers 0 to P - 1; weights (bootstrap samples, P): how often each unit is in each.
    """
    sizes = np.bincount(unit)
    totals = np.stack([np.bincount(unit, answers, len(sizes)) for answers in right.astype(float)], axis=1)
    low, high = np.quantile(weights @ totals / (weights @ sizes)[:, None], TAILS)
    if low == high:  # all answers alike: resampled units cannot say how sure that is
        low, high = wilson(right.mean() * len(sizes), len(sizes))
    return Interval(float(right.mean()), float(low), float(high))


def repair_rows(space: Space, known: Change, asked: Change, seed: int) -> pd.DataFrame:
    """Rows of COMMON_SHIFT_REPAIR for one checkpoint and space; numbers of facts or units that `known` does not have are left out."""
    questions, of = known.tokens.questions, asked.tokens.questions
    facts, units = len(questions), len(np.unique(questions.unit))
    unit = np.unique(of.unit, return_inverse=True)[1]
    weights = unit_bootstrap(int(unit.max()) + 1, BOOTSTRAP_DRAWS, seed)
    rows: list[tuple[object, ...]] = []
    for grouping, counted, numbers in CASES[space.name]:
        counts = [count for count in numbers if count <= (facts if counted == "facts" else units)]
        draws = [draw for count in counts for draw in random_draws(questions, counted, count, seed)]
        random = seed if counted == RANDOM else None
        answers = [asked.tokens.question_right(tokens) for tokens in repaired(space, known, asked, grouping, draws, random)]
        for (number, count), (which, metric) in product(enumerate(counts), enumerate(EXACT.proportions)):
            scored = np.stack([pair[which] for pair in answers[number * REPAIR_DRAWS :][:REPAIR_DRAWS]])
            for kind in ("all", *of.kinds):
                some = slice(None) if kind == "all" else of.kind == kind
                rows.append((kind, grouping, counted, count, metric, *drawn_accuracy(scored[:, some], unit[some], weights)))
    columns = ["kind", "grouping", "counted", "known", "metric", *Interval._fields]
    return pd.DataFrame(rows, columns=columns).assign(space=space.name, draws=REPAIR_DRAWS)
