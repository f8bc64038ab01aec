"""Check the gates of one seed, before Task 1 (`task0`) or after it (`task1`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.analysis.gates import settle, task0_gates, task1_gates
from forgetting.config.jobs.gates import GatesJob
from forgetting.pipeline.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("when", choices=("task0", "task1"))
    parser.add_argument("--config", type=Path, required=True, help="config.json of the gates")
    parser.add_argument("--floors", type=Path, required=True, help="floors.parquet")
    parser.add_argument("--coverage", type=Path, help="coverage.parquet (task0)")
    parser.add_argument("--pretrain", type=Path, help="metrics.parquet of pretraining (task0)")
    parser.add_argument("--task0", type=Path, help="metrics.parquet of Task 0 (task0)")
    parser.add_argument("--task1", type=Path, help="metrics.parquet of seq (task1)")
    parser.add_argument("--recovery", type=Path, help="metrics.parquet of the recovery of seq (task1)")
    parser.add_argument("--controls", type=Path, help="metrics.parquet of the recovery controls (task1)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    a = parser.parse_args()
    job = GatesJob.load(a.config)
    if a.when == "task0":
        gates = task0_gates(job, a.floors, a.coverage, a.pretrain, a.task0)
    else:
        gates = task1_gates(job, a.floors, a.task1, a.recovery, a.controls)
    settle(gates, job, a.output)


if __name__ == "__main__":
    run_command(main)
