"""Units, biographies, questions, tokenizer, floors and the dataset card of one seed."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.data import DataJob
from forgetting.pipeline.command import run_command
from forgetting.scenarios.biography.dataset import build_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the run")
    parser.add_argument("--resources", type=Path, required=True, help="folder of pools, templates and questions")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    build_data(DataJob.load(arguments.config), arguments.resources, arguments.output)


if __name__ == "__main__":
    run_command(main)
