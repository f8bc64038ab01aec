"""The speed checks of the paper's scale on the device that is here, the most telling first: what the GPU runs of this folder measure.

Each row is a script of this folder in processes of its own, with its baseline in the same run and a time limit. Rows are written as they
come. One that fails says why, one that is stopped what it had measured, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common import ROOT, make_data, print_table, study

PAPER_FILES = ["config/paper.yaml", "benchmarks/paper_speed.yaml"]
SMOKE_FILES = ["config/smoke.yaml"]
PAPER = ["--config", *PAPER_FILES, "--threads", "8"]
SMOKE = ["--config", *SMOKE_FILES, "--threads", "1"]
COLUMNS = ("what", "target", "measured", "baseline", "times the baseline", "equal results")
PACKAGES = ("torch", "transformers", "accelerate", "numpy", "triton")
LEAST, QUICK_LIMIT = 10, 1200
"""Seconds without which no row is begun; and of a row of tiny sizes, which is tried on machines that are busy."""


@dataclass(frozen=True)
class Check:
    """One row. limit: seconds on a GPU, data made and code compiled before. options: of the script at the paper's scale; quick: those that
    make it a matter of seconds. given_data: whether the script takes --data."""

    name: str
    what: str
    target: str
    limit: float
    script: str
    options: list[str]
    quick: list[str]
    given_data: bool = True


CHECKS = (
    Check(
        "pretraining",
        "pretraining, 162 M, 96 x 512",
        ">= 45 % of the GPU's bf16 operations, 80,000 steps in <= 3 hours on an H100; >= 2 times the Trainer",
        120,
        "throughput.py",
        [*PAPER, "--steps", "30", "--repetitions", "1", "--profile"],
        [*SMOKE, "--steps", "2", "--repetitions", "1", "--profile"],
    ),
    Check(
        "fine-tuning",
        "fine-tuning steps, 48 questions of at most 32 tokens",
        ">= 4 times the Trainer",
        100,
        "throughput.py",
        [*PAPER, "--stage", "task1", "--steps", "300", "--repetitions", "1", "--profile"],
        [*SMOKE, "--stage", "task1", "--steps", "2", "--repetitions", "1", "--profile"],
    ),
    Check(
        "evaluation",
        "evaluation, 30,000 questions",
        "<= 5 s; >= 50 times `generate`",
        80,
        "evaluation.py",
        [*PAPER, "--persons", "5000", "--single", "0", "--repetitions", "1"],
        [*SMOKE, "--persons", "4", "--single", "0", "--repetitions", "1", "--train-steps", "5"],
    ),
    Check(
        "landscape",
        "loss landscape, 71 x 61, 162 M",
        "<= 15 minutes",
        60,
        "landscape.py",
        [*PAPER, "--grid", "71", "61", "--points", "4", "--questions", "600", "--repetitions", "1"],
        [*SMOKE, "--grid", "71", "61", "--points", "2", "--questions", "6", "--repetitions", "1"],
    ),
    Check(
        "views",
        "weight and feature views of a pair, 162 M",
        "<= 2 minutes",
        130,
        "views.py",
        [*PAPER, "--persons", "500"],
        [*SMOKE, "--persons", "12"],
    ),
    Check(
        "sharing",
        "sharing a GPU, fine-tuning by 1, 2, 4 processes",
        "more than one alone",
        90,
        "sharing.py",
        [*PAPER, "--jobs", "1", "2", "4", "--steps", "300"],
        [*SMOKE, "--jobs", "1", "2", "--steps", "2"],
    ),
    Check(
        "data",
        "data, 200,000 persons",
        "<= 60 s on two cores",
        120,
        "data.py",
        ["--sample", "2000", "--repetitions", "1"],
        [*SMOKE, "--persons", "50", "10", "40", "80", "19", "1", "--sample", "20", "--repetitions", "1"],
        given_data=False,
    ),
)


def run(check: Check, quick: bool, limit: float, folder: Path, data: Path | None = None) -> dict[str, Any]:
    """The row of one check, after at most `limit` seconds; its own tables go to the output.

    name, what, target, and what the script handed over (`common.write_row`). `failed` is empty, or says what went wrong; then the rest may
    be there in part.
    """
    answer = folder / "row.json"
    answer.unlink(missing_ok=True)
    options = [*(check.quick if quick else check.options), *(["--data", str(data)] if data and check.given_data else [])]
    command = [sys.executable, "-W", "ignore", f"benchmarks/{check.script}", *options, "--json", str(answer)]
    print(f"\n{check.what}: {' '.join(command[3:-2])}", flush=True)
    started = time.perf_counter()
    row = {"name": check.name, "what": check.what, "target": check.target, "measured": "", "baseline": "", "ratio": None, "check": ""}
    failed = ""
    # A session of its own, so that the processes which the script starts end with it.
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end(process)
        output, errors = process.communicate()
        failed = f"stopped after {limit:.0f} s"
    finally:
        end(process)  # what it left behind would slow down the next row
    print(output, f"{time.perf_counter() - started:.0f} s", flush=True)
    if not failed and (process.returncode or not answer.exists()):
        print(errors[-4000:], file=sys.stderr, flush=True)
        failed = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1][:200].replace("|", "/")
    row |= json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
    return row | {"failed": failed, "seconds_taken": time.perf_counter() - started}


def end(process: subprocess.Popen[str]) -> None:
    """Kill it and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def machine() -> dict[str, str]:
    """What was measured on: figures mean nothing without it. Asks no library that takes seconds to load."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        told = subprocess.run(query, text=True, capture_output=True, check=True, timeout=20).stdout.splitlines()[0]
        device, driver = (part.strip() for part in told.rsplit(",", 1))
    except (OSError, subprocess.SubprocessError, IndexError):
        device, driver = f"{platform.machine()} processor, no GPU", ""
    found = {"device": device, "driver": driver, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def line(row: dict[str, Any]) -> list[str]:
    """A row of the table for reading."""
    measured = "; ".join(filter(None, [row["measured"], f"failed: {row['failed']}" if row["failed"] else ""]))
    return [row["what"], row["target"], measured, row["baseline"], "" if row["ratio"] is None else f"{row['ratio']:.1f}", row["check"]]


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--quick", action="store_true", help="tiny sizes, on any device: does everything work?")
    command.add_argument("--only", nargs="+", choices=[check.name for check in CHECKS], help="these rows")
    command.add_argument("--seconds", type=float, default=1800, help="for all rows; each has a limit of its own, too")
    command.add_argument("--limit", type=float, help="seconds of each row, in place of its own")
    command.add_argument("--data", type=Path, help="a folder for the data that the rows share; made there unless it is full")
    command.add_argument("--rows", type=Path, help="append every row to this file as it comes, one JSON a line")
    command.add_argument("--only-data", action="store_true", help="make the data in --data and end")
    command.add_argument("--machine", action="store_true", help="say what is measured on and end")
    arguments = command.parse_args()
    if arguments.machine:
        print(json.dumps(machine(), indent=1))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started ends, too
    until = time.perf_counter() + arguments.seconds
    here, rows = machine(), []
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or Path(folder) / "data"
        if not (data / "card.md").exists():
            make_data(study([ROOT / file for file in (SMOKE_FILES if arguments.quick else PAPER_FILES)]), data)
        if arguments.only_data:
            return
        for check in CHECKS:
            if arguments.only and check.name not in arguments.only:
                continue
            left = until - time.perf_counter()
            if left < LEAST:
                print(f"{check.what}: not begun, the time is up", flush=True)
                continue
            limit = arguments.limit or (QUICK_LIMIT if arguments.quick else check.limit)
            rows.append(run(check, arguments.quick, min(limit, left), Path(folder), data))
            if arguments.rows:
                with arguments.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1] | {"quick": arguments.quick, "machine": here}) + "\n")
    size = "Tiny sizes, which say nothing about speed" if arguments.quick else "Measured"
    print_table(f"{size}, on {', '.join(f'{name} {value}' for name, value in here.items() if value)}", COLUMNS, map(line, rows))
    if any(row["failed"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
