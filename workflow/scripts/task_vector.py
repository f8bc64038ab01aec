"""Take part of the task vector back from the checkpoints of a finished run, and score the result."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.command import run_command
from forgetting.methods.task_vector import apply_task_vector
from forgetting.run import load_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data stage")
    parser.add_argument("--start", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--base", type=Path, required=True, help="folder of the finished Task 1 run")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    apply_task_vector(load_run(arguments.config), arguments.data, arguments.start, arguments.base, arguments.output)


if __name__ == "__main__":
    run_command(main)
