"""A run that is told to end while Snakemake chooses jobs ends at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to

CHOOSING = """
import os, signal, sys
from snakemake.cli import main
from snakemake.scheduling.greedy import Scheduler

select = Scheduler.select_jobs

def told_to_end(self, *arguments):
    print("told to end", flush=True)
    os.kill(os.getpid(), signal.{name})
    return select(self, *arguments)

Scheduler.select_jobs = told_to_end
main(sys.argv[1:])
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_while_jobs_are_chosen_ends_the_run_within_seconds(name: str, tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    command = [sys.executable, "-c", CHOOSING.format(name=name), "--cores", "1", *SMOKE, "--", "data"]
    run = subprocess.Popen(command, cwd=clone, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.stdout
    try:
        printed = next(line for line in run.stdout if "told to end" in line)
        told = time.monotonic()
        printed += run.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        raise
    assert run.returncode != 0 and time.monotonic() - told < 10, printed
    assert not (clone / "results/smoke/seed0/data/items.parquet").exists()
