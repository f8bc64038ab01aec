"""Which token of an answer goes wrong: right tokens by kind and place in the answer, at every checkpoint of one arm."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.positions import POSITIONS
from forgetting.tables import write_table
from forgetting.views.inputs import Checkpoints
from forgetting.views.positions import positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the Task 1 checkpoints")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--output", type=Path, required=True, help="positions.parquet")
    arguments = parser.parse_args()

    checkpoints = Checkpoints.find(arguments.task0, arguments.checkpoints)
    table = positions(AnswersJob.load(arguments.config), checkpoints, Items.load(arguments.questions), pick_device())
    write_table(table, arguments.output, POSITIONS)


if __name__ == "__main__":
    run_command(main)
