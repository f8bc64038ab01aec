"""Is what Task 1 does to old answers one shift that all facts share, or does it wear down each fact by itself?

The change of every answer token between the model after Task 0 (theta*) and a Task 1 checkpoint is split into the mean change of *other*
units at the same kind and position of the answer (common) and the remainder (rest). Then either part is taken away and the
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
from forgetting.data.items import Items
from forgetting.intervals import TAILS, clustered_wilson, unit_bootstrap
from forgetting.schemas.facts import EXACT
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
from forgetting.views.inputs import evenly_spaced_units, read_model
from forgetting.views.logit_lens import Values, kind_values
from forgetting.views.measured import NOT_A_NUMBER, Measured
from forgetting.views.repair import POOL_UNITS, repair_rows

MOST_UNITS = 512
"""Of `task0_test`: bounds memory and time at paper scale."""
DRAWS = 2000


def leave_out_means(changes: Tensor, group: Tensor, unit: NDArray[np.int64]) -> Tensor:
    """For each row, the mean of the rows of other units in its group, (R, D); zero where there is no other unit."""
    device = changes.device
    member = torch.from_numpy(unit)
    cell = torch.unique(group * (int(member.max()) + 1) + member, return_inverse=True)[1]

    def total(code: Tensor) -> tuple[Tensor, Tensor]:
        size = torch.bincount(code)
        sums = torch.zeros(len(size), changes.shape[1], dtype=torch.float64, device=device).index_add_(0, code.to(device), changes.double())
        return sums[code.to(device)], size[code]

    (everyone, all_rows), (own, own_rows) = total(group), total(cell)
    others = (all_rows - own_rows).to(device)[:, None]
    return torch.where(others > 0, (everyone - own) / others.clamp_min(1), 0).to(changes.dtype)


def unit_products(vectors: Tensor, group: Tensor, unit: NDArray[np.int64], asked: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Inner products of changes between units: (P, P) with zero diagonal, and (P,) squared norms of the `asked` rows.

    Entry (p, q) sums x_i . x_j / m_i over the asked rows i of p and all rows j of q in the same group, where m_i is the number of rows of
    other units there; so row sums are those of x_i . (leave-out mean of i). Rows without any other unit in their group are left out.
    """
    units, device = int(unit.max()) + 1, vectors.device
    member, wanted = torch.from_numpy(unit).to(device), torch.from_numpy(asked).to(device)
    products = torch.zeros(units, units, dtype=torch.float64, device=device)
    energy = torch.zeros(units, dtype=torch.float64, device=device)
    for number in torch.unique(group[torch.from_numpy(asked)]):
        rows = (group == number).to(device)
        others = rows.sum() - torch.bincount(member[rows], minlength=units)
        counted = rows & wanted & (others > 0)[member]
        sums, asked_sums = (
            torch.zeros(units, vectors.shape[1], dtype=torch.float64, device=device).index_add_(0, member[kept], vectors[kept])
            for kept in (rows, counted)
        )
        products += asked_sums @ sums.T / others.clamp_min(1)[:, None]
        energy.index_add_(0, member[counted], vectors[counted].square().sum(1))
    return products.fill_diagonal_(0).cpu(), energy.cpu()


def common_share(products: Tensor, energy: Tensor, seed: int) -> Measured:
    """Share of the squared change that is common: sum of x_i . (mean change of other units) over sum of |x_i|^2.

    Unbiased in its numerator: independent changes give 0 on average (the squared norm of a plain mean of n would give 1/n), so it can be
    negative. Interval: bootstrap over units; one drawn twice is not its own other. Chance: the changes of each unit
    times a random sign, which keeps every norm and leaves nothing common. Arguments as from `unit_products`; NaN where nothing changed.
    """
    matrix, squares = products.numpy(), energy.numpy()
    units, total = len(squares), float(squares.sum())
    if total == 0:
        return Measured(NOT_A_NUMBER)
    weights = unit_bootstrap(units, DRAWS, seed)
    with np.errstate(invalid="ignore"):
        pairs = (units**2 - np.sum(weights**2, axis=1)) / (units * (units - 1))
        drawn = _quadratic(weights, matrix) / pairs / (weights @ squares)
    low, high = np.nanquantile(drawn, TAILS)
    flipped = _quadratic(np.random.default_rng([seed, 1]).choice([-1.0, 1.0], size=(DRAWS, units)), matrix) / total
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
    common = leave_out_means(change.difference, change.tokens.groups(grouping), change.tokens.unit)
    states = {
        "nothing": change.after,
        "everything": change.before,
        "common": change.after - common,
        "rest": change.before + common,
    }
    return {removed: right_tokens(space, coordinates, change.tokens.target) for removed, coordinates in states.items()}


def common_shift(job: AnswersJob, task0: Path, points: Iterable[Point], questions: Items, device: torch.device) -> tuple[pd.DataFrame, ...]:
    """Rows of COMMON_SHIFT and of COMMON_SHIFT_REPAIR for each checkpoint in `points` against the model in `task0`.

    One model is in memory at a time. Asked are the `task0_test` units of the evaluation (at most MOST_UNITS, evenly spaced).
    """
    test = questions.of("task0_test").first_units(job.evaluation.units_per_split)
    pool = evenly_spaced_units(questions.of("task0_train"), POOL_UNITS)
    tokens = [AnswerTokens.of(evenly_spaced_units(test, MOST_UNITS)), AnswerTokens.of(pool)]

    def measured(folder: Path) -> tuple[Head, list[Tensor]]:
        model = read_model(folder, device)
        return Head.of(model), [answer_states(model, each, job.evaluation.batch_size) for each in tokens]

    values = kind_values(questions)
    head, states = measured(task0)
    known_right = right_tokens(ResidualSpace(head), states[0], tokens[0].target)
    splits, repairs = [], []
    for point in points:
        head_after, states_after = measured(point.folder)
        columns = {"scale": job.scale, "seed": job.seed, "arm": job.arm, "point": point.name, "step": point.step}
        for space in (LogitSpace(head, head_after), ResidualSpace(head_after)):
            asked, known = (Change(which, *space.coordinates(*pair)) for which, *pair in zip(tokens, states, states_after, strict=True))
            splits.append(_split_rows(space, asked, known_right, job.seed).assign(**columns))
            if isinstance(space, LogitSpace):
                splits.append(value_shares(space, asked, values, job.seed).assign(**columns))
            repairs.append(repair_rows(space, known, asked, job.seed).assign(**columns))
    return pd.concat(splits, ignore_index=True), pd.concat(repairs, ignore_index=True)


def _split_rows(space: Space, change: Change, known_right: Tensor, seed: int) -> pd.DataFrame:
    """Rows of COMMON_SHIFT for one checkpoint and space. known_right (R,): the tokens that theta* itself has right."""
    rows: list[tuple[object, ...]] = []
    vectors = space.isometric(change.difference)
    before = _facts(change.tokens, known_right)
    for grouping in GROUPINGS:
        for kind, share, mean_square in _shares(vectors, change.tokens, grouping, seed):
            rows.append((kind, grouping, "nothing", "common_share", *share))
            rows.append((kind, grouping, "nothing", "squared_change", *Measured(mean_square)))
        facts = {removed: _facts(change.tokens, right) for removed, right in split_change(space, change, grouping).items()}
        for removed, frame in facts.items():
            for kind, metric in product(("all", *change.tokens.questions.kinds), EXACT.proportions):
                some = _of(frame, kind)
                rows.append((kind, grouping, removed, metric, *Measured(*clustered_wilson(some[metric], some["unit"]))))
        for kind in ("all", *change.tokens.questions.kinds):
            known, dropped, again = (_of(frame, kind) for frame in (before, facts["nothing"], facts["common"]))
            restored = spurious_share(known, dropped, again, seed)
            rows.append((kind, grouping, "common", "restored_share", *Measured(*restored)))
    columns = ["kind", "grouping", "removed", "metric", *Measured._fields]
    return pd.DataFrame(rows, columns=columns).assign(space=space.name)


def _shares(vectors: Tensor, tokens: AnswerTokens, grouping: str, seed: int) -> Iterator[tuple[str, Measured, float]]:
    """For each kind and for all together: the common share, and the mean squared change of a token."""
    group, kind = tokens.groups(grouping), tokens.questions.kind[tokens.question.numpy()]
    units = int(tokens.unit.max()) + 1
    products, energy, count = torch.zeros(units, units).double(), torch.zeros(units).double(), 0
    for name in tokens.questions.kinds:
        asked = kind == name
        some_products, some_energy = unit_products(vectors, group, tokens.unit, asked)
        products, energy, count = products + some_products, energy + some_energy, count + int(asked.sum())
        mean_square = float(vectors[torch.from_numpy(asked).to(vectors.device)].square().sum()) / asked.sum()
        yield name, common_share(some_products, some_energy, seed), mean_square
    yield "all", common_share(products, energy, seed), float(vectors.square().sum()) / count


def value_shares(space: LogitSpace, change: Change, values: Values, seed: int) -> pd.DataFrame:
    """The common share where an answer is decided: of the change of the logits at first answer tokens, among the first tokens of the
    kind's values. Rows of COMMON_SHIFT for each kind and all together; `values`: see `kind_values`, of all units of the data."""
    tokens = change.tokens
    group, first = tokens.groups("kind_position"), (tokens.position == 0).numpy()
    kind = tokens.questions.kind[tokens.question.numpy()]
    matrices = {
        name: unit_products(space.among(change.difference, values[name]), group, tokens.unit, first & (kind == name))
        for name in tokens.questions.kinds
    }
    products, energies = zip(*matrices.values(), strict=True)
    matrices["all"] = torch.stack(products).sum(0), torch.stack(energies).sum(0)
    rows = [(name, *common_share(*each, seed)) for name, each in matrices.items()]
    frame = pd.DataFrame(rows, columns=["kind", *Measured._fields])
    return frame.assign(space=space.name, grouping="kind_position", removed="nothing", metric="common_share_among_values")


def _facts(tokens: AnswerTokens, right: Tensor) -> pd.DataFrame:
    """The questions with columns unit, kind, exact_match, first_token_hard."""
    exact, first = tokens.question_right(right)
    questions = tokens.questions
    return pd.DataFrame({"unit": questions.unit, "kind": questions.kind, "exact_match": exact, "first_token_hard": first})


def _of(facts: pd.DataFrame, kind: str) -> pd.DataFrame:
    return facts if kind == "all" else facts[facts["kind"] == kind]
