"""What Task 1 did to each layer: the propositions of the paper, measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.states import StatesJob
from forgetting.data.items import Items
from forgetting.data.points import matched_step
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.theory import THEORY
from forgetting.tables import read_table, write_table
from forgetting.views.features import stage_folders
from forgetting.views.inputs import Checkpoints
from forgetting.views.theory import theory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the Task 1 checkpoints")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.parquet of the arm")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--output", type=Path, required=True, help="theory.parquet")
    arguments = parser.parse_args()

    job = StatesJob.load(arguments.config)
    matched = matched_step(read_table(arguments.metrics, METRICS))
    folders = stage_folders(Checkpoints.find(arguments.task0, arguments.checkpoints), matched)
    write_table(theory(job, folders, Items.load(arguments.questions), pick_device()), arguments.output, THEORY)


if __name__ == "__main__":
    run_command(main)
