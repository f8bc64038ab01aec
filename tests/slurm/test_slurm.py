"""The command for the cluster, on a real Slurm that runs on this machine for the time of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.study import clone_to, snakemake

SANDBOX = Path(__file__).with_name("slurm_sandbox.sh")
MISSING = [
    reason
    for reason, absent in {
        "root": os.geteuid() != 0,
        "apt-get install --no-install-recommends slurm-wlm munge": not (shutil.which("slurmctld") and shutil.which("munged")),
        "pip install .[slurm]": find_spec("snakemake_executor_plugin_slurm") is None,
    }.items()
    if absent
]

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running Slurm; yields the environment to start Snakemake in."""
    state = tmp_path_factory.mktemp("slurm")
    for folder in (state, *state.parents):  # munged insists that others can reach its socket
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    subprocess.run([SANDBOX, "start", state], check=True, timeout=120)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    yield clean | {"SLURM_CONF": str(state / "slurm.conf")}
    subprocess.run([SANDBOX, "stop", state], check=True, timeout=60)


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
