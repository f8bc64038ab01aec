"""Angles, ranks and norms of the weight updates of the training stages, matrix by matrix."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.weights import WeightsJob
from forgetting.model.anatomy import Anatomy
from forgetting.model.checkpoints import CHECKPOINTS, load_architecture, pick_device
from forgetting.model.manifest import step_folders
from forgetting.pipeline.command import run_command
from forgetting.schemas.weights import WEIGHTS
from forgetting.tables import write_table
from forgetting.views.inputs import Checkpoints, read_weights
from forgetting.views.weights import weight_updates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--pretrain", type=Path, required=True, help="folder of the pretraining")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the Task 1 checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="weights.parquet")
    arguments = parser.parse_args()

    job = WeightsJob.load(arguments.config)
    task1 = Checkpoints.find(arguments.task0, arguments.checkpoints)
    # The last two; there are none of a given model that was not trained on the texts.
    kept = list(step_folders(arguments.pretrain / CHECKPOINTS).values())[-2:]
    before = dict(zip(("pretrained_earlier", "pretrained_late"), kept, strict=False))
    folders = before | {"pretrained": arguments.pretrain / "model"} | task1.stages
    weights = {name: read_weights(folder) for name, folder in folders.items()}
    table = weight_updates(job, weights, Anatomy(load_architecture(arguments.task0)), pick_device())
    write_table(table, arguments.output, WEIGHTS)


if __name__ == "__main__":
    run_command(main)
