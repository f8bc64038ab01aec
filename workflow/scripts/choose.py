"""Choose the arm that stands for each family of methods, on task0_val."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from forgetting.analysis.choice import choose
from forgetting.pipeline.command import run_command
from forgetting.schemas.choice import CHOICE
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_tables, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.parquet of the Task 1 runs, of all seeds")
    parser.add_argument("--families", type=json.loads, required=True, help="JSON object: the arms of each family")
    parser.add_argument("--matched-accuracy", type=float, required=True, help="Task 1 accuracy at which arms are compared")
    parser.add_argument("--output", type=Path, required=True, help="choice.parquet")
    arguments = parser.parse_args()
    metrics = read_tables(arguments.metrics, METRICS)
    write_table(choose(metrics, arguments.families, arguments.matched_accuracy), arguments.output, CHOICE)


if __name__ == "__main__":
    run_command(main)
