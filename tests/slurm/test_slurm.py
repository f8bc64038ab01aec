"""The command for the cluster, on a real Slurm that runs on this machine for the time of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.study import clone_to, snakemake

pytestmark = pytest.mark.slurm


def test_figures_through_slurm(cluster: dict[str, str], tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    command = ("--profile", "slurm", "figures", "--configfile", "config/smoke.yaml", "tests/slurm/tiny.yaml")
    sooner = ("--slurm-init-seconds-before-status-checks", "4")  # by default each level of the graph waits for 40 seconds
    done = snakemake(*command, *sooner, cwd=clone, env=cluster, timeout=1200)
    assert done.returncode == 0, done.stdout[-6000:]
    assert (clone / "results/smoke/figures/performance.pdf").stat().st_size
    jobs = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format=%T %P %b"], env=cluster, text=True, capture_output=True, check=True
    ).stdout.splitlines()
    assert {line.split()[0] for line in jobs} == {"COMPLETED"}
    on_gpu = [line for line in jobs if "gpu" in line.split()[1]]
    assert len(on_gpu) >= 8, "every training, recovery and view job asks for a GPU and so goes to that partition"
    assert len(on_gpu) < len(jobs), "making the data does not"


def test_profile_defaults_to_the_papers_scale(cluster: dict[str, str], tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--profile", "slurm", "figures", "-n", cwd=clone, env=cluster, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "results/paper/figures/performance.pdf" in done.stdout
    assert "gpu=1" in done.stdout
