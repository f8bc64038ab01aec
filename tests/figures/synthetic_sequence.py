"""Made-up numbers of a sequence of three tasks: each is learned, fades while the next is, and mostly comes back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forgetting.analysis.sequence import ALONE
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY
from forgetting.schemas.sequence import SEQUENCE
from forgetting.tables import write_table

SCALE = "synthetic"
ARMS = ("seq", "replay-20", "freeze-2", "ewc-batch-1e-1")
SPLITS = ("task0_test", "task1", "task2", "task3")
UNITS, QUESTIONS = 40, 6
STEPS = np.array([0, 25, 50, 100, 200, 400, 600])
_KEPT = {"seq": 0.25, "replay-20": 0.85, "freeze-2": 0.5, "ewc-batch-1e-1": 0.4}


def accuracy(arm: str, stage: int, task: int) -> float:
    """R of an arm."""
    if task > stage:
        return 0.02
    return 0.97 * _KEPT[arm] ** min(stage - task, 2) + 0.02


def write_sequence(folder: Path, seed: int, arms: Sequence[str] = ARMS) -> None:
    """Write what `snakemake sequence` draws to the folder of a seed, but for Task 1 itself."""
    run = {"scale": SCALE, "seed": seed}
    write_table(pd.concat(_answers(seed, arms)).assign(**run), folder / "sequence/answers.parquet", SEQUENCE)
    for stage, task in enumerate(SPLITS[1:], start=1):
        for arm in arms:
            if stage > 1:
                write_table(_metrics(arm, stage).assign(stage=task, arm=arm, **run), folder / f"{task}/{arm}/metrics.parquet", METRICS)
            probes = [_probe(split, task, 600, accuracy(arm, stage, place), 0.6) for place, split in enumerate(SPLITS[:stage])]
            probes += [each.assign(training="shuffled", value=0.05, low=0.03, high=0.07) for each in probes]
            found = pd.concat(probes).assign(stage="sequence", arm=arm, **run)
            write_table(found, folder / f"sequence/{task}/{arm}/metrics.parquet", RECOVERY)
        if stage > 1:
            write_table(_stop(task, 260).assign(stage=task, arm=ALONE, **run), folder / f"{task}/{ALONE}/metrics.parquet", METRICS)
    floors = {"pretrained": 0.3, "random": 0.03, "task1": 0.1}
    starts = [(start, split) for start in floors for split in SPLITS[:-1] if start != "task1" or split != "task0_test"]
    probes = [_probe(split, start, 0, 0.02, floors[start]) for start, split in starts]
    found = pd.concat(probes).assign(stage="sequence", arm="controls", **run)
    write_table(found, folder / "sequence/controls/metrics.parquet", RECOVERY)


def _answers(seed: int, arms: Sequence[str]) -> list[pd.DataFrame]:
    generator = np.random.default_rng(seed)
    cells = [(arm, stage, task, accuracy(arm, stage, task)) for arm in arms for stage in range(4) for task in range(4)]
    cells += [(ALONE, task, task, 0.99) for task in (2, 3)]
    units = np.arange(UNITS)
    return [
        pd.DataFrame({"unit": 100 * task + units, "right": generator.binomial(QUESTIONS, share, UNITS)}).assign(
            arm=arm, stage=stage, task=task, name=SPLITS[task], asked=QUESTIONS
        )
        for arm, stage, task, share in cells
    ]


def _metrics(arm: str, stage: int) -> pd.DataFrame:
    """Task 0 over the steps of a task, and when the task was learned."""
    start, end = accuracy(arm, stage - 1, 0), accuracy(arm, stage, 0)
    values = end + (start - end) * np.exp(-STEPS / 60)
    task0 = pd.DataFrame({"step": STEPS, "value": values}).assign(split="task0_test", kind="all", metric="exact_match", n=240)
    task0 = task0.assign(low=(task0["value"] - 0.03).clip(0), high=(task0["value"] + 0.03).clip(upper=1))
    steps = np.nan if arm == "freeze-2" and stage == 3 else 250.0 + 60 * stage
    return pd.concat([task0, _stop(SPLITS[stage], steps)])


def _stop(task: str, steps: float) -> pd.DataFrame:
    row: dict[str, Any] = {"step": 600, "split": task, "kind": "all", "metric": "early_stop_step", "value": steps, "n": 240}
    return pd.DataFrame([row | {"low": np.nan, "high": np.nan}])


def _probe(split: str, start: str, checkpoint: int, dropped: float, gained: float) -> pd.DataFrame:
    """RECOVERY rows of a task, before and after one epoch."""
    values = np.array([dropped, dropped + (1 - dropped) * gained])
    frame = pd.DataFrame({"step": [0, 56], "epochs": [0.0, 1.0], "value": values, "low": values - 0.04, "high": values + 0.04})
    same = {"start": start, "training": "right", "units": 20, "checkpoint": checkpoint, "metric": "exact_match", "kind": "all"}
    return frame.assign(split=split, n=240, **same)
