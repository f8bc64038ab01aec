"""Which weights hold what Task 1 changed? Parts of a checkpoint are put back to theta*, the model before Task 1, and the model is asked.

Nothing is trained. A part that brings Task 0 back when its weights are put back held what had been lost; that of weights drawn at random,
with as much of the squared update, tells how much of it comes from a shorter update alone, and the straight line back to theta* what
Task 0 costs of Task 1 without any choice of weights. Such a part may be what the rest needed, or bring Task 0 along: the same part is set
into the model that learned Task 1 without Task 0 (the floor), too, where only what it brings along can show, and into the pretrained
model, where nothing has learned the form of any question. What it brings may be no Task 0, but a part that Task 1 has not spoilt: the
same part of the pretrained model, which never learned Task 0, tells; or the form of questions, whatever they ask: that of the floor
tells. Taking the leading directions of an update away follows Palit et al. 2026, *When Forgetting Is Not Catastrophic*; its control are
random ones of that length.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.analysis.straight import Shares, beside, has_task1_to_lose
from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.data.points import END, MATCHED, TROUGH, matched_step, trough_step
from forgetting.intervals import Floats, Interval, clustered_wilson
from forgetting.model.anatomy import Anatomy, uniform_name
from forgetting.model.manifest import step_folders
from forgetting.views.answer_change import AnswerTokens, Point, answer_states
from forgetting.views.common_shift import common_share, unit_products
from forgetting.views.inputs import Checkpoints, evenly_spaced_units, read_model, read_weights
from forgetting.views.parts import (
    ATTENTION,
    BLOCK,
    EMBEDDING,
    OUTPUT_EMBEDDING,
    SEVERAL,
    Part,
    cells,
    matrices,
    several_parts,
    single_parts,
)
from forgetting.views.shared_prefix import answer_scorer

SPLITS = ("task0_test", "task1")
MOST_UNITS = 40
"""Of each split, evenly spaced: they are asked some 100 times at each point."""
SHIFTED = ("none", "back", "forward")
"""Operations of which the common share is measured, too."""
RANKS = (1, 2, 4, 8)
"""How many leading directions of the update of each matrix an edit takes away."""
STEPS_BACK = tuple(step / 10 for step in range(1, 10))
"""Shares of the update that interpolation takes away."""
BESIDE_STRAIGHT = ("back", "back_random", "edit", "edit_random")
"""Operations that are set beside the straight way back, where that has as much of Task 1."""
EXCHANGED = (EMBEDDING, BLOCK, "blocks_up_to", OUTPUT_EMBEDDING)
"""Parts that are also taken from the pretrained model and from the floor, and set into the pretrained model."""
NOTHING = float("nan")
"""`amount` of an operation that has none."""
Weights = Mapping[str, Tensor]


class Operated(NamedTuple):
    """A model after an operation, see GRAFT: its weights, and how much of the squared update was touched."""

    operation: str
    part: str
    layer: int
    amount: float
    update_share: float
    weights: Weights


class Probed(NamedTuple):
    """A checkpoint of an arm, and that of its floor, the same Task 1 without Task 0, at the same point; None where it kept none."""

    point: Point
    floor: Path | None


def probed_points(checkpoints: Checkpoints, metrics: pd.DataFrame, floor: Path | None) -> list[Probed]:
    """The points trough, matched (absent where Task 1 was never learned) and end of a run with these METRICS.

    floor: folder of the checkpoints of the floor. It has no trough, so it is taken at the step of that of the run, else at its own point.
    """
    kept = [step for step in checkpoints.steps if step]
    trough, end = trough_step(metrics, kept), checkpoints.last
    points = [Point(TROUGH, trough, checkpoints.folders[trough]), Point(END, end, checkpoints.folders[end])]
    matched = matched_step(metrics)
    if not np.isnan(matched):
        points.insert(1, Point(MATCHED, int(matched), checkpoints.folders[end].with_name(MATCHED)))
    steps = step_folders(floor) if floor else {}
    of_floor = {TROUGH: steps.get(trough), MATCHED: floor and floor / MATCHED, END: steps.get(max(steps, default=0))}
    return [Probed(point, of_floor[point.name]) for point in points]


def squared_update(before: Weights, after: Weights, names: Iterable[str] | None = None) -> float:
    """Of the parameters `names` (all, if None)."""
    return sum(float((after[name] - before[name]).double().square().sum()) for name in (before if names is None else names))


def with_part_of(weights: Weights, donor: Weights, part: Part, anatomy: Anatomy) -> tuple[dict[str, Tensor], float]:
    """`weights` with a part from `donor`, and the squared distance of the two there. Parameters that did not change are not copied."""
    made, touched = dict(weights), 0.0
    for name, values in weights.items():
        chosen = [cell.where for cell in cells(name, values, anatomy) if part.has(cell)]
        if not chosen:
            continue
        new, given = values.clone(), donor[name]
        for where in chosen:
            index = slice(None) if where is None else where.to(values.device)
            new.view(-1)[index] = given.reshape(-1)[index]
        made[name] = new
        touched += float((new - values).double().square().sum())
    return made, touched


def with_random_weights_of(weights: Weights, donor: Weights, share: float, names: Container[str], seed: int) -> dict[str, Tensor]:
    """`weights` with each weight of the parameters `names` taken from `donor` with probability `share`: so much of the squared distance
    there, in expectation."""
    generator = torch.Generator().manual_seed(seed)
    made = dict(weights)
    for name, values in weights.items():
        if name not in names:
            continue
        drawn = torch.rand(values.shape, generator=generator).to(values.device) < share
        made[name] = torch.where(drawn, donor[name], values)
    return made


def leading_term(update: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `rank` leading left singular vectors (out, rank), singular values (rank,), and right singular vectors (in, rank) of (out, in)."""
    left, values, right = torch.linalg.svd(update.double(), full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank].T


def random_term(shape: torch.Size, values: Tensor, generator: torch.Generator) -> Tensor:
    """Of this shape (out, in), with random orthonormal directions and these singular values: as long as the leading term that has them."""
    left, right = (torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64)).Q for size in shape)
    return left * values.cpu() @ right.T


class LeadingTerm(NamedTuple):
    """Of one matrix (out, in) of a parameter: where its weights are in it (out, in), and singular vectors and values of its update."""

    parameter: str
    where: Tensor
    left: Tensor
    singular: Tensor
    right: Tensor


def leading_terms(before: Weights, after: Weights, components: Iterable[str], anatomy: Anatomy) -> list[LeadingTerm]:
    """The leading directions of the update of each of these matrices of every block, as many as the largest of RANKS."""
    terms = []
    for name, values in after.items():
        places = matrices(name, values, anatomy) if values.ndim == 2 else {}
        for where in (index.to(values.device) for component, index in places.items() if component in components):
            terms.append(LeadingTerm(name, where, *leading_term((values - before[name]).reshape(-1)[where], max(RANKS))))
    return terms


def edited(after: Weights, terms: Iterable[LeadingTerm], rank: int, seed: int | None) -> tuple[Weights, float]:
    """`after` without the first `rank` directions of these terms, and the squared length taken away; with a `seed`, random directions of
    the same length are taken away in their place."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    made, taken = dict(after), 0.0
    for name, where, left, singular, right in terms:
        kept = singular[:rank]
        term = left[:, :rank] * kept @ right[:, :rank].T if generator is None else random_term(where.shape, kept, generator)
        new = made[name].clone()
        new.view(-1)[where] -= term.to(new)
        made[name] = new
        taken += float(kept.square().sum())
    return made, taken


def operations(before: Weights, after: Weights, anatomy: Anatomy, seed: int) -> Iterator[Operated]:
    """Every operation of GRAFT on one checkpoint, `before` being theta*, one at a time."""
    total = squared_update(before, after)
    of_blocks = {name for name in after if anatomy.layer_of(name) is not None}
    in_blocks = squared_update(before, after, of_blocks)
    yield Operated("none", "all", SEVERAL, NOTHING, 0.0, after)
    yield Operated("start", "all", SEVERAL, NOTHING, 1.0, before)
    for number, part in enumerate([*single_parts(anatomy), *several_parts(anatomy)]):
        back, touched = with_part_of(after, before, part, anatomy)
        if not touched:
            continue
        share = touched / total
        yield Operated("back", part.name, part.layer, NOTHING, share, back)
        yield Operated("forward", part.name, part.layer, NOTHING, share, with_part_of(before, after, part, anatomy)[0])
        # Drawn from the blocks, the update of all of them would be put back whole, which is no control.
        some_blocks = touched < 0.999 * in_blocks and all(name in of_blocks for name in after if back[name] is not after[name])
        among = of_blocks if some_blocks else set(after)
        random = with_random_weights_of(after, before, touched / (in_blocks if some_blocks else total), among, seed * 1000 + number)
        yield Operated("back_random", part.name, part.layer, NOTHING, share, random)
    matrices_of = {"attention": ATTENTION, "blocks": frozenset(anatomy.components)}
    for name, components in matrices_of.items():
        terms = leading_terms(before, after, components, anatomy)
        for rank, control in product(RANKS, (False, True)):
            weights, taken = edited(after, terms, rank, seed * 1000 + rank if control else None)
            yield Operated("edit_random" if control else "edit", name, SEVERAL, rank, taken / total, weights)
    for share in STEPS_BACK:
        between = {name: torch.lerp(values, before[name], share) for name, values in after.items()}
        yield Operated("interpolation", "all", SEVERAL, share, share**2, between)


def transplants(
    operation: str, weights: Weights, donor: Weights, anatomy: Anatomy, names: Container[str] | None = None
) -> Iterator[Operated]:
    """`weights` with one part of `donor`, for each part (of these names) one at a time."""
    total = squared_update(donor, weights)
    for part in [*single_parts(anatomy), *several_parts(anatomy)]:
        if names is None or part.name in names:
            made, touched = with_part_of(weights, donor, part, anatomy)
            yield Operated(operation, part.name, part.layer, NOTHING, touched / total if total else 0.0, made)


def with_pretrained(after: Weights, before: Weights, pretrained: Weights, anatomy: Anatomy) -> Iterator[Operated]:
    """The operations of GRAFT on a checkpoint that need the `pretrained` model, `before` being theta*, one at a time."""
    yield Operated("untaught", "all", SEVERAL, NOTHING, 0.0, pretrained)
    yield from transplants("pretrained", after, pretrained, anatomy, EXCHANGED)
    yield from transplants("into_pretrained", pretrained, before, anatomy, EXCHANGED)


def with_floor(after: Weights, floor: Weights, before: Weights, pretrained: Weights, anatomy: Anatomy) -> Iterator[Operated]:
    """Those that need the `floor`, which never had Task 0."""
    yield Operated("floor", "all", SEVERAL, NOTHING, 0.0, floor)
    yield from transplants("of_floor", after, floor, anatomy, EXCHANGED)
    yield from transplants("into_floor", floor, before, anatomy)
    yield from transplants("pretrained_into_floor", floor, pretrained, anatomy, EXCHANGED)


def graft(job: AnswersJob, pretrained: Path, task0: Path, points: Iterable[Probed], questions: Items, device: torch.device) -> pd.DataFrame:
    """Rows of GRAFT for each of `points` against the model in `task0`, which began as that in `pretrained`. In memory are one model, and
    the weights of five."""
    model, before, untaught = read_model(task0, device), *(_on(device, read_weights(folder)) for folder in (task0, pretrained))
    asked = {split: evenly_spaced_units(questions.of(split).first_units(job.evaluation.units_per_split), MOST_UNITS) for split in SPLITS}
    scorer = answer_scorer(model, asked["task0_test"].joined_with(asked["task1"]), device)
    shift = CommonShift(model, asked["task0_test"], job)
    rows: list[tuple[object, ...]] = []
    anatomy = Anatomy(model.config)
    for point, floor in points:
        after = _on(device, read_weights(point.folder))
        made = chain(
            operations(before, after, anatomy, job.seed),
            with_pretrained(after, before, untaught, anatomy),
            with_floor(after, _on(device, read_weights(floor)), before, untaught, anatomy) if floor else (),
        )
        answered: list[tuple[Operated, Shares]] = []
        for operated in made:
            key = (point.name, point.step, *operated[:-1])
            _, exact = scorer(_Given(operated.weights))
            answered.append((operated._replace(weights={}), Shares(*(_by_unit(exact, scorer.questions, split) for split in SPLITS))))
            for split, items in asked.items():
                of_split = scorer.questions.split == split
                interval = clustered_wilson(exact[of_split], scorer.questions.unit[of_split])
                rows.append((*key, split, "exact_match", *map(float, interval), len(items)))
            if operated.operation in SHIFTED:
                rows.append((*key, "task0_test", "common_share", *shift.share(operated.weights), len(asked["task0_test"])))
        of_task0 = asked["task0_test"]
        answers = max(1, round(len(of_task0) / len(np.unique(of_task0.unit))))
        for operated, metric, found in _beside_straight(answered, answers, job.seed):
            rows.append((point.name, point.step, *operated[:-1], "task0_test", metric, *found, len(of_task0)))
    columns = ["point", "step", *Operated._fields[:-1], "split", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm)


def _by_unit(exact: Floats, questions: Items, split: str) -> Floats:
    """The share of right answers of each unit of a split, (units,)."""
    chosen = questions.split == split
    return pd.Series(exact[chosen]).groupby(questions.unit[chosen]).mean().to_numpy()


def _beside_straight(answered: Sequence[tuple[Operated, Shares]], answers: int, seed: int) -> Iterator[tuple[Operated, str, Interval]]:
    """The operations of one point beside the straight way back: metrics of GRAFT; none where there is no Task 1 to lose. answers: of each
    unit."""
    ends = {"none": 0.0, "start": 1.0}
    on_way = [(ends.get(done.operation, done.amount), shares) for done, shares in answered if done.operation in (*ends, "interpolation")]
    on_way.sort(key=lambda each: each[0])
    way = Shares(*(np.stack(shares) for shares in zip(*(shares for _, shares in on_way), strict=True)))
    if not has_task1_to_lose(way):
        return
    for done, shares in answered:
        if done.operation in BESIDE_STRAIGHT:
            found = beside(shares, way, answers, seed)
            yield done, "straight", found.straight
            yield done, "beyond_straight", found.beyond


class _Given:
    """Weights as a scorer asks for them."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def __call__(self, name: str, rows: Tensor | None = None) -> Tensor:
        return self.weights[name] if rows is None else self.weights[name][rows]


class CommonShift:
    """How much of the change of the residual stream since the weights that `model` has is common to all answers. Asked are `questions`."""

    def __init__(self, model: PreTrainedModel, questions: Items, job: AnswersJob) -> None:
        self.model, self.tokens, self.job = model, AnswerTokens.of(questions), job
        self.before = self._states()

    def _states(self) -> Tensor:
        return answer_states(self.model, self.tokens, self.job.evaluation.batch_size)

    def share(self, weights: Weights) -> Interval:
        """The common share with its interval, of a model with these weights; `model` keeps them."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[uniform_name(name)])
        change, tokens = (self._states() - self.before).double(), self.tokens
        products, energy = unit_products(change, tokens.groups("kind_position"), tokens.unit, np.full(len(change), True))
        return Interval(*common_share(products, energy, self.job.seed)[:3])


def _on(device: torch.device, weights: Weights) -> dict[str, Tensor]:
    return {name: values.to(device) for name, values in weights.items()}
