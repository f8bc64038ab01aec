"""All speed checks of the paper's scale on the device that is here, as one table: what `benchmarks/gpu.sh` runs.

Each row is a script of this folder in a process of its own. A row that fails says why, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, print_table

PAPER = ["--config", "config/paper.yaml", "benchmarks/paper_speed.yaml"]
SMOKE = ["--config", "config/smoke.yaml", "--threads", "1"]
COLUMNS = ("what", "target", "measured", "times the baseline", "equal results")


@dataclass(frozen=True)
class Check:
    """One row: what is checked, its target, the script and its options at the paper's scale, and those that make it a matter of seconds."""

    what: str
    target: str
    script: str
    options: list[str]
    quick: list[str]


CHECKS = (
    Check(
        "pretraining, 162 M, 96 x 512",
        ">= 45 % of the GPU's bf16 operations, 80,000 steps in <= 3 hours on an H100; >= 2 times the Trainer",
        "throughput.py",
        [*PAPER, "--steps", "30", "--repetitions", "1"],
        [*SMOKE, "--steps", "2", "--repetitions", "1"],
    ),
    Check(
        "fine-tuning steps, 48 questions of at most 32 tokens",
        ">= 4 times the Trainer",
        "throughput.py",
        [*PAPER, "--stage", "task1", "--steps", "2000", "--repetitions", "1"],
        [*SMOKE, "--stage", "task1", "--steps", "2", "--repetitions", "1"],
    ),
    Check(
        "evaluation, 30,000 questions",
        "<= 5 s; >= 50 times `generate`",
        "evaluation.py",
        [*PAPER, "--persons", "5000", "--single", "0", "--repetitions", "1"],
        [*SMOKE, "--persons", "4", "--single", "0", "--repetitions", "1", "--train-steps", "5"],
    ),
    Check(
        "data, 200,000 persons",
        "<= 60 s on two cores",
        "data.py",
        ["--sample", "2000", "--repetitions", "1"],
        [*SMOKE, "--persons", "50", "10", "40", "80", "19", "1", "--sample", "20", "--repetitions", "1"],
    ),
    Check(
        "loss landscape, 71 x 61, 162 M",
        "<= 15 minutes",
        "landscape.py",
        [*PAPER, "--grid", "71", "61", "--points", "4", "--questions", "600", "--repetitions", "1"],
        [*SMOKE, "--grid", "71", "61", "--points", "2", "--questions", "6", "--repetitions", "1"],
    ),
    Check(
        "weight and feature views of a pair, 162 M",
        "<= 2 minutes",
        "views.py",
        [*PAPER, "--persons", "500"],
        [*SMOKE, "--persons", "12"],
    ),
)


def run(check: Check, quick: bool, limit: float, folder: Path) -> list[str]:
    """The row of one check; its own tables go to the output."""
    answer = folder / "row.json"
    answer.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-W",
        "ignore",
        f"benchmarks/{check.script}",
        *(check.quick if quick else check.options),
        "--json",
        str(answer),
    ]
    print(f"\n{check.what}: {' '.join(command[3:-2])}", flush=True)
    started = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return [check.what, check.target, f"failed: not ready after {limit:.0f} s", "", ""]
    print(done.stdout, f"{time.perf_counter() - started:.0f} s", flush=True)
    if done.returncode or not answer.exists():
        print(done.stderr[-4000:], file=sys.stderr, flush=True)
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [check.what, check.target, f"failed: {reason[:200].replace('|', '/')}", "", ""]
    row = json.loads(answer.read_text(encoding="utf-8"))
    return [check.what, check.target, row["measured"], "" if row["ratio"] is None else f"{row['ratio']:.1f}", row["check"]]


def machine() -> str:
    """What was measured on, in words: figures mean nothing without it."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"{platform.processor() or platform.machine()} processor, no GPU, torch {torch.__version__}"


def page(title: str, rows: list[list[str]], study: Path, images: Path) -> str:
    """The table as a page of docs/, with tables and figures of the finished study of config/gpu-small.yaml, where there is one.

    Its figures are copied to `images`.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}", *(f"| {' | '.join(row)} |" for row in rows)]
    said = f"{title}. Made by `bash benchmarks/gpu.sh`; [benchmarks/README.md](../benchmarks/README.md) says how to read it."
    lines = ["# Results on a GPU", "", "## Speed", "", said, "", *lines, "", "## The study", ""]
    if not (study / "report.html").exists():
        lines += ["Not run yet: `snakemake --cores 8 --resources gpu=4 all --configfile config/gpu-small.yaml`, then this page again.", ""]
    for table in [study / f"tables/{name}.md" for name in ("gates", "methods", "verdict")]:
        lines += [table.read_text(encoding="utf-8"), ""] if table.exists() else []
    for figure in [study / f"figures/{name}.png" for name in ("performance", "recovery", "learning_rate", "landscape")]:
        if figure.exists():
            shutil.copyfile(figure, images / f"gpu-small-{figure.name}")
            lines += [f"![{figure.stem}](images/gpu-small-{figure.name})", ""]
    return "\n".join(lines)


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--quick", action="store_true", help="tiny sizes, on any device: does everything work?")
    command.add_argument("--only", nargs="+", metavar="WORD", help="rows with any of these words in their name")
    command.add_argument("--limit", type=float, default=400, help="seconds after which a row counts as failed")
    command.add_argument("--output", type=Path, help="write the table to this page, too, with what config/gpu-small.yaml found")
    arguments = command.parse_args()
    chosen = [check for check in CHECKS if not arguments.only or any(word in check.what for word in arguments.only)]
    with tempfile.TemporaryDirectory() as folder:
        rows = [run(check, arguments.quick, arguments.limit, Path(folder)) for check in chosen]
    title = f"{'Tiny sizes, which say nothing about speed' if arguments.quick else 'Measured'} on {machine()}"
    print_table(title, COLUMNS, rows)
    if arguments.output:
        arguments.output.write_text(page(title, rows, ROOT / "results/gpu-small", ROOT / "docs/images"), encoding="utf-8")
    if any(row[2].startswith("failed") for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
