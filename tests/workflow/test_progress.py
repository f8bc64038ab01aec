"""What a user sees while jobs run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, snakemake

JOB = "results/smoke/seed0/data/config.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results."""
    return clone_to(tmp_path_factory.mktemp("progress") / "clone")


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


def test_a_job_is_announced_without_its_files(clone: Path) -> None:
    """A dry run lists them."""
    planned = snakemake("-n", JOB, *SMOKE, cwd=clone).stdout
    assert f"    output: {JOB}\n" in planned
    printed = snakemake("--cores", "1", JOB, *SMOKE, cwd=clone).stdout
    assert "job_config seed=0, job=data/config\n    reason: " in printed
    assert "    log: results/smoke/logs/seed0/config/data/config.log" in printed
    assert "    output:" not in printed
