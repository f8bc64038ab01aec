"""Losses and accuracies on straight lines between the end of Task 0, the trough and the end of Task 1, and the weights recovered from
each, and the barriers there (docs/views.md): are they one basin?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.data.items import Items
from forgetting.data.points import END, TROUGH
from forgetting.views.inputs import Checkpoints, parameter_vector, read_model, read_weights
from forgetting.views.landscape import SPLITS, Layout
from forgetting.views.recovered import Recovered
from forgetting.views.scores import Floats, Scores, one_thread_each
from forgetting.views.shared_prefix import answer_scorer

POSITIONS = np.linspace(0, 1, 21)


def segments(checkpoints: Checkpoints, recovered: Recovered) -> dict[str, tuple[Path, Path]]:
    """Where each segment starts and ends: from the end of Task 0 to the trough (where that is not the end) and to the end of Task 1, and
    where recovered weights of either were kept, from there to these and from the end of Task 0 to these."""
    task0, last = checkpoints.folders[0], checkpoints.last
    steps = {TROUGH: recovered.trough, END: last} if recovered.trough in checkpoints.steps[1:-1] else {END: last}
    found = {}
    for name, step in steps.items():
        here, back = checkpoints.folders[step], recovered.longest(name)
        found[f"task0_{name}"] = (task0, here)
        if back is not None:
            found |= {f"{name}_recovered": (here, back), f"task0_{name}_recovered": (task0, back)}
    return found


def interpolation(
    job: LandscapeJob, checkpoints: Checkpoints, recovered: Recovered, questions: Items, device: torch.device
) -> pd.DataFrame:
    """Both losses and accuracies along every segment, and its barriers: rows of INTERPOLATION.

    The questions are those of the performance metrics, so that the ends of a segment have the accuracies reported there.
    """
    model = read_model(checkpoints.folders[0], torch.device("cpu"))
    layout = Layout.of(model)
    asked = questions.of(*SPLITS.values()).first_units(job.units_per_split)
    scorer = answer_scorer(model, asked, device)
    frames = []
    for name, (start, end) in segments(checkpoints, recovered).items():
        base, direction = (parameter_vector(read_weights(folder), layout.shapes).to(device) for folder in (start, end))
        direction -= base
        points = [layout.on_line(base, direction, float(position)) for position in POSITIONS]
        with one_thread_each(device) as pool:
            nats, exact = np.array(list(pool.map(scorer, points))).transpose(1, 0, 2)
        frames.append(segment_frame(Scores(nats, exact, asked), POSITIONS).assign(segment=name))
    return pd.concat(frames, ignore_index=True).assign(scale=job.scale, seed=job.seed, arm=job.arm)


def segment_frame(scores: Scores, positions: Floats) -> pd.DataFrame:
    """Loss and accuracy of each split at each position, and its two barriers: columns split, metric, position, value, error."""
    rows = []
    for split in SPLITS.values():
        (loss, loss_error), (accuracy, accuracy_error) = scores.loss(split), scores.exact_match(split)
        rows += [(split, "loss", *row) for row in zip(positions, loss, loss_error, strict=True)]
        rows += [(split, "exact_match", *row) for row in zip(positions, accuracy, accuracy_error, strict=True)]
        for metric, weights in zip(("barrier", "barrier_above_line"), barrier_weights(loss, positions), strict=True):
            top = int(weights.argmax())
            value, error = scores.combined(weights).loss(split)
            inside = 0 < top < len(positions) - 1
            rows.append((split, metric, positions[top], value, error) if inside else (split, metric, np.nan, 0.0, np.nan))
    return pd.DataFrame(rows, columns=["split", "metric", "position", "value", "error"])


def barrier_weights(loss: Floats, positions: Floats) -> tuple[Floats, Floats]:
    """Which sum of the losses of a path is its barrier, and which its barrier above the straight line between the losses of its ends.

    *barrier*: the highest loss minus that of the higher end. *Above the line*: the largest excess over the line. Both are 0 for a convex
    loss; all weights are 0 where the maximum is at an end. loss, positions (n,), from 0 to 1; two arrays of weights (n,).
    """
    higher = np.zeros(len(loss))
    higher[0 if loss[0] >= loss[-1] else -1] = 1
    top = np.eye(len(loss))[loss.argmax()]
    peak = (loss - loss[0] - positions * (loss[-1] - loss[0])).argmax()  # exactly 0 where the loss is constant
    line = np.zeros(len(loss))
    line[0], line[-1] = 1 - positions[peak], positions[peak]
    return top - higher, np.eye(len(loss))[peak] - line
