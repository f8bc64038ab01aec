"""Fine-tuning jobs that share a GPU: the steps a second of all together, by how many there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import KEEPS_MEMORY, ROOT, make_data, parser, print_table, study, use_threads, write_row

COMMAND = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks/throughput.py"), "--only", "our loop", "--stage", "task1"]


def together(count: int, options: list[str], folder: Path) -> list[dict[str, Any]]:
    """What each of `count` jobs measured, all warm before any of them is. Raises SystemExit when one failed."""
    meeting = folder / f"meeting-{count}"
    meeting.mkdir()
    command = [*COMMAND, *options, "--meet", str(count), str(meeting)]
    jobs = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=os.environ | KEEPS_MEMORY) for _ in range(count)]
    try:
        answers = [job.communicate()[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    if any(job.returncode for job in jobs):
        raise SystemExit(f"error: one of {count} jobs failed")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def main() -> None:
    command = parser(__doc__, given_data=True)
    command.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4], help="how many at a time; the first is the baseline")
    command.add_argument("--steps", type=int, default=500, help="measured steps of each job")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured = study(arguments.config)
    options = ["--threads", str(arguments.threads), "--steps", str(arguments.steps), "--device", arguments.device]
    options += ["--config", *map(str, arguments.config)] if arguments.config else []
    rates: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        data = arguments.data or make_data(configured, Path(name) / "data")
        for count in arguments.jobs:
            found = together(count, [*options, "--data", str(data)], Path(name))
            rates[count] = sum(each["steps"] for each in found)
            alone = rates[arguments.jobs[0]]
            measured = ", ".join(f"{jobs}: {rate:,.1f} steps/s" for jobs, rate in rates.items())
            best = max(rates, key=lambda jobs: rates[jobs])
            numbers = {f"steps_of_{jobs}": rate for jobs, rate in rates.items()}
            write_row(arguments.json, measured, f"{arguments.jobs[0]} at a time: {alone:,.1f} steps/s", rates[best] / alone, **numbers)
    rows = [[count, rate, rate / alone] for count, rate in rates.items()]
    print_table("Fine-tuning jobs on one device", ["jobs", "steps/s of all", "times one"], rows)


if __name__ == "__main__":
    main()
