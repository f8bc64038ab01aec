"""Answers of Task 1 checkpoints of which a part is put back to the weights before Task 1: which weights hold what changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.graft import GRAFT
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table, write_table
from forgetting.views.graft import graft, probed_points
from forgetting.views.inputs import Checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the model before Task 0")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model before Task 1")
    parser.add_argument("--task1", type=Path, required=True, help="folder of metrics.parquet and checkpoints/ of the arm")
    parser.add_argument("--floor", type=Path, help="folder of checkpoints/ of the same Task 1 without Task 0")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--output", type=Path, required=True, help="graft.parquet")
    arguments = parser.parse_args()

    metrics = read_table(arguments.task1 / "metrics.parquet", METRICS)
    floor = arguments.floor and arguments.floor / "checkpoints"
    points = probed_points(Checkpoints.find(arguments.task0, arguments.task1 / "checkpoints"), metrics, floor)
    questions = Items.load(arguments.questions)
    table = graft(AnswersJob.load(arguments.config), arguments.pretrained, arguments.task0, points, questions, pick_device())
    write_table(table, arguments.output, GRAFT)


if __name__ == "__main__":
    run_command(main)
