"""How much each matrix of the model after Task 0 matters for the answers of Task 0: its mean diagonal Fisher information."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.shared import FisherJob
from forgetting.data.items import Items
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.schemas.fisher import FISHER
from forgetting.tables import write_table
from forgetting.views.fisher import fisher_by_matrix
from forgetting.views.inputs import read_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--questions", type=Path, required=True, help="items.parquet")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--output", type=Path, required=True, help="fisher.parquet")
    arguments = parser.parse_args()

    table = fisher_by_matrix(FisherJob.load(arguments.config), read_model(arguments.task0, pick_device()), Items.load(arguments.questions))
    write_table(table, arguments.output, FISHER)


if __name__ == "__main__":
    run_command(main)
