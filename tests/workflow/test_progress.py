"""What a user sees while jobs run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, snakemake

JOB = "results/smoke/seed0/data/config.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results."""
    return clone_to(tmp_path_factory.mktemp("progress") / "clone")


def test_status_beside_a_running_snakemake(clone: Path) -> None:
    """It needs no result, makes none, and leaves the locks of the other one, of which one ends like this."""
    lock = clone / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/smoke/seed0/pretrain/metrics.parquet\n")
    try:
        done = snakemake("--cores", "1", "status", *SMOKE, cwd=clone)
        assert lock.exists()
    finally:
        lock.unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout[-3000:]
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("task1 ")]
    assert row[1:5] == ["0", "0", "0", "5"], "the arms of the smoke study"
    assert "Job stats" not in done.stdout, "the table is all it says"
    assert {path.name for path in (clone / "results" / "smoke").iterdir()} == {"logs"}


def test_a_job_is_announced_without_its_files(clone: Path) -> None:
    """A dry run lists them."""
    planned = snakemake("-n", JOB, *SMOKE, cwd=clone).stdout
    assert f"    output: {JOB}\n" in planned
    printed = snakemake("--cores", "1", JOB, *SMOKE, cwd=clone).stdout
    assert "job_config seed=0, job=data/config\n    reason: " in printed
    assert "    log: results/smoke/logs/seed0/config/data.log" in printed
    assert "    output:" not in printed
