"""A real Slurm on this machine, for the time of the tests of one file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

SANDBOX = Path(__file__).with_name("slurm_sandbox.sh")
LINK = Path("/run/slurm/conf")  # where a nested srun looks for Slurm's configuration
MISSING = [
    reason
    for reason, absent in {
        "root": os.geteuid() != 0,
        "apt-get install --no-install-recommends slurm-wlm munge": not (shutil.which("slurmctld") and shutil.which("munged")),
        "pip install .[slurm]": find_spec("snakemake_executor_plugin_slurm") is None,
    }.items()
    if absent
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running Slurm; yields the environment to start Snakemake in."""
    if MISSING:
        pytest.skip(f"needs {' and '.join(MISSING)}")
    state = tmp_path_factory.mktemp("slurm")
    for folder in (state, *state.parents):  # munged insists that others can reach its socket
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    if not LINK.exists():  # what a sandbox whose test was killed leaves behind is no obstacle
        LINK.parent.mkdir(exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(state / "gone")
    subprocess.run([SANDBOX, "start", state], check=True, timeout=120)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    yield clean | {"SLURM_CONF": str(state / "slurm.conf")}
    subprocess.run([SANDBOX, "stop", state], check=True, timeout=60)
