"""Losses on the plane of one Task 1 run, its trajectory and recovery in that plane, and barriers on straight lines between them."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.data.items import Items
from forgetting.data.points import trough_step
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.interpolation import INTERPOLATION
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table, write_table
from forgetting.views.inputs import Checkpoints
from forgetting.views.interpolation import interpolation
from forgetting.views.landscape import landscape
from forgetting.views.recovered import Recovered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the Task 1 checkpoints")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.parquet of the arm")
    parser.add_argument("--recovered", type=Path, help="folder of the recovered weights, of an arm that has a recovery curve")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--output", type=Path, required=True, help="landscape.parquet")
    parser.add_argument("--output-interpolation", type=Path, required=True, help="interpolation.parquet")
    arguments = parser.parse_args()

    job = LandscapeJob.load(arguments.config)
    checkpoints = Checkpoints.find(arguments.task0, arguments.checkpoints)
    trough = trough_step(read_table(arguments.metrics, METRICS), checkpoints.steps[1:])
    inputs = (job, checkpoints, Recovered.find(arguments.recovered, trough), Items.load(arguments.questions), pick_device())
    write_table(landscape(*inputs), arguments.output, LANDSCAPE)
    write_table(interpolation(*inputs), arguments.output_interpolation, INTERPOLATION)


if __name__ == "__main__":
    run_command(main)
