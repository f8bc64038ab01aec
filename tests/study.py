"""Runs of the workflow in copies of the repository, for tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ("--configfile", "config/smoke.yaml")


def clone_to(folder: Path) -> Path:
    """Copy the repository, without results and caches."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("results", ".*", "__pycache__", "*.egg-info")))


def snakemake(
    *arguments: str, cwd: Path = ROOT, timeout: float = 900, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake with the interpreter of the tests; what it prints is in `stdout`."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)


def merged(*overlays: str) -> dict:
    """The config as Snakemake merges it: sections key by key, everything else replaced."""
    whole: dict = {}
    for name in ("config.yaml", "methods.yaml", "architectures.yaml", *overlays):
        update_config(whole, yaml.safe_load((ROOT / "config" / name).read_text()))
    return whole
