"""Recovery probes from the checkpoints of one arm."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.pipeline.command import run_command
from forgetting.stages.recovery import recover_arm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data stage")
    parser.add_argument("--task0", type=Path, required=True, help="folder of Task 0")
    parser.add_argument("--task1", type=Path, required=True, help="folder of the arm")
    parser.add_argument("--steps", type=int, nargs="+", required=True, help="checkpoints to recover from, by step")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for finished probes")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    a = parser.parse_args()
    recover_arm(RecoveryJob.load(a.config), a.data, a.task0, a.task1, a.steps, a.scratch, a.output)


if __name__ == "__main__":
    run_command(main)
