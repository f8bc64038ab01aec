"""Runs of the workflow in copies of the repository, for tests."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ("--configfile", "config/smoke.yaml")


def clone_to(folder: Path) -> Path:
    """Copy the repository, without results and caches."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("results", ".*", "__pycache__", "*.egg-info")))


PLANNING = {"-n", "--lint", "--list-target-rules"}
"""Options with which Snakemake starts no job."""
PLANNERS = multiprocessing.get_context("forkserver")
PLANNERS.set_forkserver_preload(["pandas", "scipy.special", "snakemake.cli", "tests.study"])


def snakemake(
    *arguments: str, cwd: Path = ROOT, timeout: float = 900, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake with the interpreter of the tests; what it prints is in `stdout`.

    What starts no job, in the environment of the tests, is forked from a process that has imported Snakemake already: for a dry run that
    is nearly half of its time.
    """
    if env is None and PLANNING & set(arguments):
        return _planned(arguments, cwd, timeout)
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)


def _planned(arguments: tuple[str, ...], cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("r") as told:
        job = PLANNERS.Process(target=_plan, args=(arguments, cwd, dict(os.environ), told.name))
        job.start()
        job.join(timeout)
        if job.exitcode is None:
            job.kill()
            raise subprocess.TimeoutExpired(arguments, timeout, told.read())
        return subprocess.CompletedProcess(arguments, job.exitcode, told.read())


def _plan(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], told: str) -> None:
    """`python -m snakemake` in a process of its own, which ends with it."""
    from snakemake.cli import main

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    with open(told, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)


def merged(*overlays: str) -> dict:
    """The config as Snakemake merges it: sections key by key, everything else replaced."""
    whole: dict = {}
    for name in ("config.yaml", "methods.yaml", "architectures.yaml", *overlays):
        update_config(whole, deepcopy(_read(name)))
    return whole


@functools.cache
def _read(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / name).read_text())
