"""Is what Task 1 does to old answers one shift that all facts share, or does it wear down each fact by itself?

The change of every answer token between the model after Task 0 (theta*) and a Task 1 checkpoint is split into the mean change of *other*
persons at the same attribute and position of the answer (common) and the remainder (rest). Then either part is taken away and the
answers are scored; and the common part is estimated from few facts of `task0_train` and taken away from `task0_test`: a repair without
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.analysis.spurious import spurious_share
from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.config.sections import ATTRIBUTES
from forgetting.data.items import Questions
from forgetting.intervals import PROPORTIONS, TAILS, clustered_wilson, person_bootstrap
from forgetting.views.answer_change import (
    GROUPINGS,
    ROWS_AT_ONCE,
    AnswerTokens,
    Change,
    Head,
    LogitSpace,
    Point,
    ResidualSpace,
    Space,
    answer_states,
    leading,
)
from forgetting.views.inputs import evenly_spaced_persons, read_model
from forgetting.views.measured import NOT_A_NUMBER, Measured
from forgetting.views.repair import POOL_PERSONS, repair_rows

MOST_PERSONS = 512
"""Of `task0_test`: bounds memory and time at paper scale."""
DRAWS = 2000


def leave_out_means(changes: Tensor, group: Tensor, person: NDArray[np.int64]) -> Tensor:
    """For each row, the mean of the rows of other persons in its group, (R, D); zero where there is no other person."""
    device = changes.device
    people = torch.from_numpy(person)
    cell = torch.unique(group * (int(people.max()) + 1) + people, return_inverse=True)[1]

    def total(code: Tensor) -> tuple[Tensor, Tensor]:
        size = torch.bincount(code)
        sums = torch.zeros(len(size), changes.shape[1], dtype=torch.float64, device=device).index_add_(0, code.to(device), changes.double())
        return sums[code.to(device)], size[code]

    (everyone, all_rows), (own, own_rows) = total(group), total(cell)
    others = (all_rows - own_rows).to(device)[:, None]
    return torch.where(others > 0, (everyone - own) / others.clamp_min(1), 0).to(changes.dtype)


def person_products(vectors: Tensor, group: Tensor, person: NDArray[np.int64], asked: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Inner products of changes between persons: (P, P) with zero diagonal, and (P,) squared norms of the `asked` rows.

    Entry (p, q) sums x_i . x_j / m_i over the asked rows i of p and all rows j of q in the same group, where m_i is the number of rows of
    other persons there; so row sums are those of x_i . (leave-out mean of i). Rows without any other person in their group are left out.
    """
    persons, device = int(person.max()) + 1, vectors.device
    people, wanted = torch.from_numpy(person).to(device), torch.from_numpy(asked).to(device)
    products = torch.zeros(persons, persons, dtype=torch.float64, device=device)
    energy = torch.zeros(persons, dtype=torch.float64, device=device)
    for number in torch.unique(group[torch.from_numpy(asked)]):
        rows = (group == number).to(device)
        others = rows.sum() - torch.bincount(people[rows], minlength=persons)
        counted = rows & wanted & (others > 0)[people]
        sums, asked_sums = (
            torch.zeros(persons, vectors.shape[1], dtype=torch.float64, device=device).index_add_(0, people[kept], vectors[kept])
            for kept in (rows, counted)
        )
        products += asked_sums @ sums.T / others.clamp_min(1)[:, None]
        energy.index_add_(0, people[counted], vectors[counted].square().sum(1))
    return products.fill_diagonal_(0).cpu(), energy.cpu()


def common_share(products: Tensor, energy: Tensor, seed: int) -> Measured:
    """Share of the squared change that is common: sum of x_i . (mean change of other persons) over sum of |x_i|^2.

    Unbiased in its numerator: independent changes give 0 on average (the squared norm of a plain mean of n would give 1/n), so it can be
    negative. Interval: bootstrap over persons; one drawn twice is not its own other. Chance: the changes of each person
    times a random sign, which keeps every norm and leaves nothing common. Arguments as from `person_products`; NaN where nothing changed.
    """
    matrix, squares = products.numpy(), energy.numpy()
    persons, total = len(squares), float(squares.sum())
    if total == 0:
        return Measured(NOT_A_NUMBER)
    weights = person_bootstrap(persons, DRAWS, seed)
    with np.errstate(invalid="ignore"):
        pairs = (persons**2 - np.sum(weights**2, axis=1)) / (persons * (persons - 1))
        drawn = _quadratic(weights, matrix) / pairs / (weights @ squares)
    low, high = np.nanquantile(drawn, TAILS)
    flipped = _quadratic(np.random.default_rng([seed, 1]).choice([-1.0, 1.0], size=(DRAWS, persons)), matrix) / total
    chance_low, chance_high = np.quantile(flipped, TAILS)
    return Measured(float(matrix.sum()) / total, float(low), float(high), float(flipped.mean()), float(chance_low), float(chance_high))


def _quadratic(vectors: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """v^T M v for each row v of `vectors` (draws, P)."""
    return np.sum(vectors @ matrix * vectors, axis=1)


def right_tokens(space: Space, coordinates: Tensor, target: Tensor) -> Tensor:
    """(R,) whether the right token is the most likely one, on the CPU."""
    parts = zip(coordinates.split(ROWS_AT_ONCE), target.split(ROWS_AT_ONCE), strict=True)
    return torch.cat([leading(space.decode(rows), right) for rows, right in parts])


def split_change(space: Space, change: Change, grouping: str) -> dict[str, Tensor]:
    """(R,) right tokens after removing from the checkpoint `nothing`, `everything` (theta*), the `common` part, or the `rest`."""
    common = leave_out_means(change.difference, change.tokens.groups(grouping), change.tokens.person)
    states = {
        "nothing": change.after,
        "everything": change.before,
        "common": change.after - common,
        "rest": change.before + common,
    }
    return {removed: right_tokens(space, coordinates, change.tokens.target) for removed, coordinates in states.items()}


def common_shift(
    job: AnswersJob, task0: Path, points: Iterable[Point], questions: Questions, device: torch.device
) -> tuple[pd.DataFrame, ...]:
    """Rows of COMMON_SHIFT and of COMMON_SHIFT_REPAIR for each checkpoint in `points` against the model in `task0`.

    One model is in memory at a time. Asked are the `task0_test` persons of the evaluation (at most MOST_PERSONS, evenly spaced).
    """
    test = questions.of_groups("task0_test").first_persons(job.evaluation.persons_per_group)
    pool = evenly_spaced_persons(questions.of_groups("task0_train"), POOL_PERSONS)
    tokens = [AnswerTokens.of(evenly_spaced_persons(test, MOST_PERSONS)), AnswerTokens.of(pool)]

    def measured(folder: Path) -> tuple[Head, list[Tensor]]:
        model = read_model(folder, device)
        return Head.of(model), [answer_states(model, each, job.evaluation.batch_size) for each in tokens]

    head, states = measured(task0)
    known_right = right_tokens(ResidualSpace(head), states[0], tokens[0].target)
    splits, repairs = [], []
    for point in points:
        head_after, states_after = measured(point.folder)
        columns = {"scale": job.scale, "seed": job.seed, "arm": job.arm, "point": point.name, "step": point.step}
        for space in (LogitSpace(head, head_after), ResidualSpace(head_after)):
            asked, known = (Change(which, *space.coordinates(*pair)) for which, *pair in zip(tokens, states, states_after, strict=True))
            splits.append(_split_rows(space, asked, known_right, job.seed).assign(**columns))
            repairs.append(repair_rows(space, known, asked, job.seed).assign(**columns))
    return pd.concat(splits, ignore_index=True), pd.concat(repairs, ignore_index=True)


def _split_rows(space: Space, change: Change, known_right: Tensor, seed: int) -> pd.DataFrame:
    """Rows of COMMON_SHIFT for one checkpoint and space. known_right (R,): the tokens that theta* itself has right."""
    rows: list[tuple[object, ...]] = []
    vectors = space.isometric(change.difference)
    before = _facts(change.tokens, known_right)
    for grouping in GROUPINGS:
        for attribute, share, mean_square in _shares(vectors, change.tokens, grouping, seed):
            rows.append((attribute, grouping, "nothing", "common_share", *share))
            rows.append((attribute, grouping, "nothing", "squared_change", *Measured(mean_square)))
        facts = {removed: _facts(change.tokens, right) for removed, right in split_change(space, change, grouping).items()}
        for removed, frame in facts.items():
            for attribute, metric in product(("all", *ATTRIBUTES), PROPORTIONS):
                some = _of(frame, attribute)
                rows.append((attribute, grouping, removed, metric, *Measured(*clustered_wilson(some[metric], some["person"]))))
        for attribute in ("all", *ATTRIBUTES):
            known, dropped, again = (_of(frame, attribute) for frame in (before, facts["nothing"], facts["common"]))
            restored = spurious_share(known, dropped, again, seed)
            rows.append((attribute, grouping, "common", "restored_share", *Measured(*restored)))
    columns = ["attribute", "grouping", "removed", "metric", *Measured._fields]
    return pd.DataFrame(rows, columns=columns).assign(space=space.name)


def _shares(vectors: Tensor, tokens: AnswerTokens, grouping: str, seed: int) -> Iterator[tuple[str, Measured, float]]:
    """For each attribute and for all together: the common share, and the mean squared change of a token."""
    group, attribute = tokens.groups(grouping), tokens.questions.attribute[tokens.question.numpy()]
    persons = int(tokens.person.max()) + 1
    products, energy, count = torch.zeros(persons, persons).double(), torch.zeros(persons).double(), 0
    for name in ATTRIBUTES:
        asked = attribute == name
        some_products, some_energy = person_products(vectors, group, tokens.person, asked)
        products, energy, count = products + some_products, energy + some_energy, count + int(asked.sum())
        mean_square = float(vectors[torch.from_numpy(asked).to(vectors.device)].square().sum()) / asked.sum()
        yield name, common_share(some_products, some_energy, seed), mean_square
    yield "all", common_share(products, energy, seed), float(vectors.square().sum()) / count


def _facts(tokens: AnswerTokens, right: Tensor) -> pd.DataFrame:
    """The questions with columns person, attribute, exact_match, first_token_hard."""
    exact, first = tokens.question_right(right)
    questions = tokens.questions
    return pd.DataFrame({"person": questions.person, "attribute": questions.attribute, "exact_match": exact, "first_token_hard": first})


def _of(facts: pd.DataFrame, attribute: str) -> pd.DataFrame:
    return facts if attribute == "all" else facts[facts["attribute"] == attribute]
