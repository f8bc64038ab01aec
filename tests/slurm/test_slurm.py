"""The command for the cluster, on a real Slurm that runs on this machine for the time of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.study import clone_to, snakemake

pytestmark = [pytest.mark.slurm, pytest.mark.long]


PLACES = """
import os, sys
if len(sys.orig_argv) > 1 and sys.orig_argv[1].startswith("workflow/scripts/"):
    with open(os.environ["PLACES"], "a") as file:
        seen = [os.environ.get(name, "none") for name in ("SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES", "SITE")]
        print(sys.orig_argv[1], *seen, file=file)
"""
"""Run by every Python at its start: which script runs on which node, with which GPU, and what the precommand of the site did."""


def expect_right_places(lines: list[str]) -> None:
    """Jobs that compute with weights have a GPU of the GPU node, data are made on another node, figures where Snakemake runs."""
    places = {tuple(line.removeprefix("workflow/scripts/").split()) for line in lines}
    for script, *place in places:
        if script.startswith(("show", "gates")):
            assert place == ["none", "none", "none"], script
        elif script == "data.py":
            assert place == ["cpu0", "none", "loaded"]
        else:
            assert place in (["gpu0", "0", "loaded"], ["gpu0", "1", "loaded"]), script
    names = {script for script, *_ in places}
    assert {"data.py", "pretrain.py", "finetune.py", "recovery.py", "view_features.py", "show.py"} <= names
    assert {device for _, _, device, _ in places} == {"none", "0", "1"}, "jobs beside each other use both"


def test_figures_through_slurm(cluster: dict[str, str], tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    (tmp_path / "sitecustomize.py").write_text(PLACES)
    profile = clone / "slurm/config.yaml"
    profile.write_text(profile.read_text().replace("# precommand: module load cuda/12.6", "precommand: export SITE=loaded"))
    cluster = cluster | {"PYTHONPATH": str(tmp_path), "PLACES": str(tmp_path / "places")}
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
    expect_right_places((tmp_path / "places").read_text().splitlines())


def test_profile_defaults_to_the_papers_scale(cluster: dict[str, str], tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--profile", "slurm", "figures", "-n", cwd=clone, env=cluster, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "results/paper/figures/performance.pdf" in done.stdout
    assert "gpu=1" in done.stdout
