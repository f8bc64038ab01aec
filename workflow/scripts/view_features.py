"""How the residual stream at the last prompt token moves between the training stages, and what the logit lens reads from
it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from forgetting.config.jobs.views.states import StatesJob
from forgetting.data.items import Items
from forgetting.data.points import matched_step
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.features import FEATURE_POINTS, FEATURES
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table, write_table
from forgetting.views.features import feature_points, features, lens, residual_streams, stage_folders, view_questions
from forgetting.views.inputs import Checkpoints
from forgetting.views.logit_lens import kind_values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the pretrained model")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the Task 1 checkpoints")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.parquet of the arm")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--output", type=Path, required=True, help="features.parquet")
    parser.add_argument("--output-points", type=Path, required=True, help="feature_points.parquet")
    arguments = parser.parse_args()

    job, device = StatesJob.load(arguments.config), pick_device()
    everyone = Items.load(arguments.questions)
    questions, values = view_questions(everyone), kind_values(everyone)
    task1 = Checkpoints.find(arguments.task0, arguments.checkpoints)
    folders = {"pretrained": arguments.pretrained} | stage_folders(task1, matched_step(read_table(arguments.metrics, METRICS)))
    states = residual_streams(folders, questions, job.evaluation_batch_size, device)
    table = pd.concat([features(job, states, questions), lens(job, folders, states, questions, values, device)], ignore_index=True)
    write_table(table, arguments.output, FEATURES)
    write_table(feature_points(job, states, task1.stage_steps, questions), arguments.output_points, FEATURE_POINTS)


if __name__ == "__main__":
    run_command(main)
