"""How far Task 1 has moved the model's predictions: the KL divergence between theta* and a checkpoint at the tokens of right answers.

On Task 1 questions it is set against forgetting over all arms: does a model forget Task 0 by as much as it moves on Task 1?
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from forgetting.config.jobs.views.shared import DriftJob
from forgetting.data.items import Items
from forgetting.intervals import clustered_mean
from forgetting.views.answer_change import ROWS_AT_ONCE, AnswerTokens, Head, Point, answer_states
from forgetting.views.inputs import evenly_spaced_units, read_model

SPLITS = ("task1", "task0_test")
MOST_UNITS = 512
METRICS = ("kl_from_theta_star", "kl_to_theta_star")


@torch.inference_mode()
def divergences(before: Head, after: Head, states: Tensor, states_after: Tensor) -> Tensor:
    """KL(theta* || checkpoint) and KL(checkpoint || theta*) in nats for each of R states (R, d): (2, R), float64, on the CPU."""
    parts = []
    for rows, rows_after in zip(states.split(ROWS_AT_ONCE), states_after.split(ROWS_AT_ONCE), strict=True):
        old, new = before.logits(rows).log_softmax(1), after.logits(rows_after).log_softmax(1)
        parts.append(torch.stack([(old.exp() * (old - new)).sum(1), (new.exp() * (new - old)).sum(1)]).double().cpu())
    return torch.cat(parts, dim=1)


def drift(job: DriftJob, task0: Path, points: Iterable[Point], questions: Items, device: torch.device) -> pd.DataFrame:
    """Rows of DRIFT for each checkpoint in `points` against the model in `task0`; one model is in memory at a time.

    Questions of the units of the evaluation (at most MOST_UNITS a split, evenly spaced), by kind and over all of them.
    """
    tokens = {}
    for split in SPLITS:
        asked = questions.of(split).first_units(job.evaluation.units_per_split)
        tokens[split] = AnswerTokens.of(evenly_spaced_units(asked, MOST_UNITS))

    def measured(folder: Path) -> tuple[Head, dict[str, Tensor]]:
        model = read_model(folder, device)
        return Head.of(model), {split: answer_states(model, each, job.evaluation.batch_size) for split, each in tokens.items()}

    head, states = measured(task0)
    rows: list[tuple[object, ...]] = []
    for point in points:
        head_after, states_after = measured(point.folder)
        for split, each in tokens.items():
            of_token = each.questions.kind[each.question.numpy()]
            for metric, values in zip(METRICS, divergences(head, head_after, states[split], states_after[split]).numpy(), strict=True):
                for kind in ("all", *questions.kinds):
                    some = slice(None) if kind == "all" else of_token == kind
                    interval = clustered_mean(values[some], each.unit[some])
                    rows.append((point.name, point.step, split, kind, metric, len(values[some]), *interval))
    columns = ["point", "step", "split", "kind", "metric", "n", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(scale=job.scale, seed=job.seed, arm=job.arm)
