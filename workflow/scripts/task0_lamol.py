"""Fine-tune the pretrained model on Task 0 for LAMOL, which also learns to write the questions."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.command import run_command
from forgetting.methods.lamol import finetune_task0_lamol
from forgetting.run import load_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data stage")
    parser.add_argument("--start", type=Path, required=True, help="folder of the model to start from")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the state to resume from")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    finetune_task0_lamol(load_run(arguments.config), arguments.data, arguments.start, arguments.scratch, arguments.output)


if __name__ == "__main__":
    run_command(main)
