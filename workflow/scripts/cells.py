"""Task 1 of one seed in other values and other forms, for the crossed experiment."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.data import DataJob
from forgetting.pipeline.command import run_command
from forgetting.scenarios.biography.cells import write_cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the data stage")
    parser.add_argument("--cells", nargs="*", required=True, help="<values>-<format>, such as half-statement")
    parser.add_argument("--resources", type=Path, required=True, help="folder of pools, templates and questions")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data stage, to write to")
    arguments = parser.parse_args()
    write_cells(DataJob.load(arguments.config), arguments.cells, arguments.resources, arguments.data)


if __name__ == "__main__":
    run_command(main)
