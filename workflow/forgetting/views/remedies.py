"""Repairs of a given model that need no training, each with its control (docs/diagnose.md), and the repaired model as a folder.

Interpolation goes back on the straight line to the model before (WiSE-FT, Wortsman et al. 2022). The edit takes the leading directions of
the update of every block matrix away (Palit et al. 2026, *When Forgetting Is Not Catastrophic*); random directions of the same length are
its control. Taking the common shift of the answers away (`shift_remedy.py`) changes no weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.data.probed import COPYABLE, DOSE, NEW, RIGHT, ROUNDING, TEST, TRAIN, deciding_rate
from forgetting.errors import StudyError
from forgetting.intervals import clustered_mean, clustered_wilson
from forgetting.model.anatomy import Anatomy, is_known
from forgetting.model.checkpoints import publish
from forgetting.schemas.diagnosis import PROBED, REMEDIES
from forgetting.stages.diagnosis import Case, Run, trained
from forgetting.tables import read_table, write_table, writing
from forgetting.views.answer_change import answer_states
from forgetting.views.graft import RANKS, LeadingTerm, edited, leading_terms
from forgetting.views.shift_remedy import answer_tokens, common_shifts, random_shifts, right_without

SHARES = tuple(step / 10 for step in range(1, 10))
RANDOM_EDITS = 2
LARGEST_EDIT = 4096
"""Width of the widest model whose updates are decomposed: the time grows with its cube."""
Weights = Mapping[str, Tensor]


class Remedy(NamedTuple):
    """remedy, part, amount, control: see REMEDIES."""

    remedy: str
    part: str
    amount: float
    control: bool
    weights: Callable[[], Weights]


def weights_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """By name; of tied weights one."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def put(model: PreTrainedModel, weights: Weights) -> None:
    """Give a model these weights, in place."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def unlike(before: Weights, after: Weights) -> str:
    """The first weight that the models do not share, in words; empty where they share all."""
    for name in dict.fromkeys([*before, *after]):
        shapes = [tuple(weights[name].shape) if name in weights else "missing" for weights in (before, after)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} before and {shapes[1]} after"
    return ""


def repairs(before: Weights, after: Weights, anatomy: Anatomy | None, width: int, seed: int) -> Iterator[Remedy]:
    """Every repair; edits only of models whose anatomy is known and that are not too wide."""
    yield Remedy("none", "all", 0.0, False, partial(dict, after))
    for share in SHARES:
        yield Remedy("interpolation", "all", share, False, partial(_between, before, after, share))
    if anatomy is None or width > LARGEST_EDIT:
        return
    terms = leading_terms(before, after, frozenset(anatomy.components), anatomy)
    for rank in RANKS:
        yield Remedy("edit", "blocks", rank, False, partial(_edit, after, terms, rank, None))
        for number in range(RANDOM_EDITS):
            draw = seed * 1000 + 10 * rank + number
            yield Remedy("edit", "blocks", rank, True, partial(_edit, after, terms, rank, draw))


def _between(before: Weights, after: Weights, share: float) -> Weights:
    return {name: torch.lerp(values, before[name], share) for name, values in after.items()}


def _edit(after: Weights, terms: list[LeadingTerm], rank: int, seed: int | None) -> Weights:
    return edited(after, terms, rank, seed)[0]


def remedies(job: DiagnosisJob, data: Path, probes: Path, output: Path) -> None:
    """Write remedies.parquet (REMEDIES) into `output`; and the best repair to `diagnose.write`, if that is given. `probes`: the folder of
    the probes, of which that of `after` is a candidate."""
    case = Case(job, data)
    model = case.load("before")
    before, states = weights_of(model), _states(case, model)
    model = case.load("after")
    after = weights_of(model)
    width = int(getattr(model.config, "hidden_size", 0))
    rows: list[tuple[object, ...]] = []
    difference = unlike(before, after)
    if difference:
        print(f"no repairs without training: before and after are not of one architecture ({difference})", flush=True)
    tried = job.diagnosis.remedies and not difference
    anatomy = Anatomy(model.config) if is_known(model.config) else None
    if tried and anatomy is None:
        print(f"no edits of the update: where a {model.config.model_type} has its layers is not known", flush=True)
    listed = list(repairs(before, after, anatomy, width, job.seed)) if tried else []
    for repair in listed:
        put(model, repair.weights())
        told = []
        for split in (TEST, NEW, COPYABLE):
            if len(places := case.where(split)):
                found = case.measured(model, places)
                binary = found["score"].isin((0, 1)).all()
                interval = (clustered_wilson if binary else clustered_mean)(found["score"], found["unit"])
                rows.append((*repair[:4], split, *map(float, interval), len(found)))
                told.append(f"{split} {interval.value:.3f}")
        print(f"{repair.remedy} {repair.amount:g}{' (random)' if repair.control else ''}: {'  '.join(told)}", flush=True)
    put(model, after)
    if tried and states is not None:
        rows += _without_shift(case, model, states)
    frame = pd.DataFrame(rows, columns=REMEDIES.names)
    if job.diagnosis.write:
        _write_best(case, model, frame, read_table(probes / "after.parquet", PROBED), listed, Path(job.diagnosis.write))
    write_table(frame, output / "remedies.parquet", REMEDIES)


def _states(case: Case, model: PreTrainedModel) -> Tensor | None:
    """The states at the answers of the training questions; None where the common shift cannot be tried: answers are not scored token by
    token, or the anatomy of the model is not known."""
    if not case.config.remedies or case.config.measure != "exact" or not is_known(model.config):
        return None
    return answer_states(model, answer_tokens(case.items.of(TRAIN)), case.config.batch_size)


def _without_shift(case: Case, model: PreTrainedModel, before: Tensor) -> Iterator[tuple[object, ...]]:
    """REMEDIES rows of the common shift and its controls."""
    known = answer_tokens(case.items.of(TRAIN))
    shift = common_shifts(known, before, answer_states(model, known, case.config.batch_size))
    shifts = [shift, *(random_shifts(shift, case.job.seed * 1000 + number) for number in range(RANDOM_EDITS))]
    for split in (TEST, NEW, COPYABLE):
        if not len(questions := case.items.of(split)):
            continue
        for number, right in enumerate(right_without(model, questions, shifts, case.config.batch_size)):
            interval = clustered_wilson(right, questions.unit)
            yield ("common_shift", "answers", float(len(known.questions)), number > 0, split, *map(float, interval), len(right))
            print(f"common shift{' (random)' if number else ''}: {split} {interval.value:.3f}", flush=True)


def _write_best(case: Case, model: PreTrainedModel, frame: pd.DataFrame, probed: pd.DataFrame, listed: list[Remedy], target: Path) -> None:
    """Save the model with the highest sum of old and new accuracy, of the repairs and of recovery with all units or some; none where no
    sum is higher than that of `after`."""
    scored: dict[object, float] = {}
    for repair in listed:
        if repair.remedy != "none" and not repair.control:
            chosen = (frame["remedy"] == repair.remedy) & (frame["amount"] == repair.amount) & ~frame["control"].astype(bool)
            scored[repair] = float(frame.loc[chosen & frame["split"].isin((TEST, NEW)), "value"].sum())
    rate, _ = deciding_rate(probed)
    ends = probed[(probed["rate"] == rate) & (probed["step"] == probed["step"].max()) & (probed["seed"] == 0)]
    for (training, units), rows in ends[ends["training"].isin((RIGHT, DOSE))].groupby(["training", "units"]):
        means = rows[rows["split"].isin((TEST, NEW))].groupby("split")["score"].mean()
        scored[Run(str(training), rate, 0, int(units))] = float(means.sum())
    given = probed[(probed["training"] == RIGHT) & (probed["step"] == 0) & probed["split"].isin((TEST, NEW))]
    best = max(scored, key=lambda each: scored[each])
    if not scored[best] > float(given.groupby("split")["score"].mean().sum()) + ROUNDING:
        print(f"no repair brings back more of the old task than it costs of the new one: nothing is written to {target}", flush=True)
        return
    if isinstance(best, Run):
        trained(case, "after", best, lambda model, step: pd.DataFrame(), model)
        if any(".lora_" in name for name, _ in model.named_parameters()):
            raise StudyError(
                "diagnose.write: the best repair is recovery with LoRA, which is not written; say diagnose.probe.adapter: full"
            )
    else:
        assert isinstance(best, Remedy)
        put(model, best.weights())
    write_model(model, case.tokenizer, target)
    print(f"wrote the repaired model to {target}", flush=True)


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save both as an ordinary Hugging Face folder, all or nothing. Raises WriteError."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with writing(target, SafetensorError):
            part.mkdir(parents=True)
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            target.mkdir(exist_ok=True)
        publish(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
