"""KL divergence between the model after Task 0 and Task 1 checkpoints, on questions of both tasks, for any number of arms in one job."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from forgetting.config.jobs.views.shared import DriftJob
from forgetting.data.items import Items
from forgetting.data.points import matched_step
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.drift import DRIFT
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import compared_points
from forgetting.views.drift import drift
from forgetting.views.inputs import Checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--task0", type=Path, nargs="+", required=True, help="for each arm, the folder of its model after Task 0")
    parser.add_argument("--task1", type=Path, nargs="+", required=True, help="for each arm, its folder (named after it)")
    parser.add_argument("--output", type=Path, required=True, help="drift.parquet")
    arguments = parser.parse_args()

    job, questions, device = DriftJob.load(arguments.config), Items.load(arguments.questions), pick_device()
    frames = []
    for task0, task1 in zip(arguments.task0, arguments.task1, strict=True):
        metrics = read_table(task1 / "metrics.parquet", METRICS)
        points = compared_points(Checkpoints.find(task0, task1 / "checkpoints"), matched_step(metrics))
        frames.append(drift(job, task0, points, questions, device).assign(arm=task1.name))
    write_table(pd.concat(frames, ignore_index=True), arguments.output, DRIFT)


if __name__ == "__main__":
    run_command(main)
