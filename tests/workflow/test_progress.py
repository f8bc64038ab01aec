"""What a user sees while jobs run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, snakemake

JOB = "results/smoke/seed0/data/config.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results, in a folder whose name a shell would take apart."""
    return clone_to(tmp_path_factory.mktemp("progress") / "it's mine $HOME")


@pytest.mark.long
def test_the_script_tells_how_far_a_study_is(clone: Path) -> None:
    """From the config that Snakemake writes before anything else."""
    command = [sys.executable, "workflow/scripts/status.py", "results/smoke"]
    env = {**os.environ, "PYTHONPATH": "workflow"}
    early = subprocess.run(command, cwd=clone, env=env, text=True, capture_output=True)
    assert early.returncode == 1 and "--nolock results/smoke/config.json" in early.stderr
    assert snakemake("--cores", "1", "--nolock", "results/smoke/config.json", *SMOKE, cwd=clone).returncode == 0
    done = subprocess.run(command, cwd=clone, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("task1 ")]
    assert row[1:5] == ["0", "0", "0", "5"], "the arms of the smoke study"


@pytest.mark.long
def test_a_job_is_told_in_one_line_when_it_starts_and_one_when_it_is_done(clone: Path) -> None:
    """A dry run, and the complete log, say more. The jobs that write configs are not told at all."""
    planned = snakemake("-n", JOB, *SMOKE, cwd=clone).stdout
    assert f"    output: {JOB}\n" in planned and "    reason: " in planned
    (clone / "resources/.DS_Store").write_bytes(b"\0\xff")
    printed = snakemake("--cores", "1", "data", *SMOKE, cwd=clone).stdout
    told = [line for line in printed.splitlines() if re.match(r"\d\d:\d\d:\d\d", line)]
    assert [line.split(maxsplit=1)[1] for line in told] == [
        "start  make_data seed=0",
        "done   make_data seed=0",
        "start  data",
        "done   data",
    ]
    for noise in ("reason:", "output:", "Select jobs", "Execute", "jobid", "steps ("):
        assert noise not in printed, noise
    complete = max((clone / ".snakemake/log").glob("*.log")).read_text()
    assert "reason: Missing output files" in complete
    assert "resources/questions.yaml" in complete and ".DS_Store" not in complete, "what a file manager leaves is no input"
