"""How many answers about each unit are right before and after each task of a sequence."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.analysis.sequence import read_answers
from forgetting.pipeline.command import run_command
from forgetting.schemas.sequence import SEQUENCE
from forgetting.tables import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", required=True, help="the tasks after Task 0, in order")
    parser.add_argument("--facts", type=Path, nargs="+", required=True, help="facts.parquet of all runs of a seed")
    parser.add_argument("--output", type=Path, required=True, help="answers.parquet")
    arguments = parser.parse_args()
    write_table(read_answers(arguments.facts, arguments.tasks), arguments.output, SEQUENCE)


if __name__ == "__main__":
    run_command(main)
