"""A study that is killed twenty times, at any moment, and run again ends like one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.compare_studies import differences
from tests.study import SMOKE, clone_to, snakemake

pytestmark = pytest.mark.slow

KILLS = 20
COMMAND = ("--cores", "2", "all", *SMOKE, "tests/workflow/kill.yaml")
# Of the environment, so that states are saved often enough to be resumed from in jobs of seconds.
ENVIRONMENT = os.environ | {"FORGETTING_SECONDS_BETWEEN_STATES": "0.2"}


class Study:
    """Runs of the study in one clone."""

    def __init__(self, clone: Path) -> None:
        self.clone, self.results = clone, clone / "results" / "smoke"

    def start(self, *more: str) -> psutil.Popen:
        """The study as the README starts it, with what it prints added to a file."""
        with (self.clone / "printed.txt").open("a") as printed:
            command = [sys.executable, "-m", "snakemake", *COMMAND, *more]
            return psutil.Popen(command, cwd=self.clone, env=ENVIRONMENT, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)

    def last_lines(self) -> str:
        return (self.clone / "printed.txt").read_text()[-6000:]

    def resumed(self) -> list[str]:
        """Jobs whose log says that they went on from a saved state."""
        logs = self.results.glob("logs/**/*.log")
        return [str(log.relative_to(self.results / "logs")) for log in logs if "resuming at step" in log.read_text()]

    def wipe(self) -> None:
        for folder in (self.results.parent, self.clone / ".snakemake"):
            shutil.rmtree(folder)


def job_processes(run: psutil.Popen) -> list[psutil.Process]:
    """The processes of the jobs of a run."""
    found = []
    for process in run.children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if len(command) > 1 and command[1].startswith("workflow/scripts/"):
            found.append(process)
    return found


def kill_all(run: psutil.Popen) -> str:
    """SIGKILL Snakemake and all it started; what was running."""
    run.suspend()  # so that it starts nothing between the look and the kill
    running = " ".join(Path(job.cmdline()[1]).stem for job in job_processes(run))
    for process in (*run.children(recursive=True), run):
        if process.is_running():
            process.kill()
    run.wait()
    return f"all, in {running or 'Snakemake itself'}"


def kill_job(run: psutil.Popen, choice: random.Random) -> str:
    """SIGKILL one job, the next one when none is running, and wait for Snakemake to give up; nothing when the study is done before."""
    while run.poll() is None:
        if jobs := job_processes(run):
            job = choice.choice(jobs)
            name = Path(job.cmdline()[1]).stem
            job.kill()
            return f"one job, {name}" if run.wait() else ""
        time.sleep(0.05)
    return ""


def wait_for_state(run: psutil.Popen, results: Path) -> None:
    """Until a training has saved a state, or the run ended."""
    while run.poll() is None and not any(results.glob("seed*/scratch/**/state.pt")):
        time.sleep(0.05)


def assert_like(study: Study, reference: Path) -> None:
    """The results are those of the reference: the same files, weights bit by bit, tables but for wall time; and nothing is left over."""
    names = {str(path.relative_to(study.results)) for path in study.results.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file()}
    assert not [name for name in names if name.endswith((".part", ".tmp")) or "/scratch/" in name]
    assert list(differences(reference, study.results)) == []
    assert "Nothing to be done" in snakemake("-n", *COMMAND, cwd=study.clone, env=ENVIRONMENT).stdout


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    study, choice = Study(clone_to(tmp_path / "clone")), random.Random(0)
    started = time.monotonic()
    assert study.start().wait() == 0, study.last_lines()
    undisturbed = time.monotonic() - started
    reference = Path(shutil.copytree(study.results, tmp_path / "reference"))
    study.wipe()

    kills, resumed, again = [], [], ()
    while len(kills) < KILLS:
        run = study.start(*again)
        moment = choice.uniform(0, undisturbed / 3)
        if len(kills) % 4 == 1:  # jobs begin for longer than they train, so moments by the clock alone may miss all training
            wait_for_state(run, study.results)
            moment = 0
        try:
            run.wait(moment)
        except psutil.TimeoutExpired:
            killed = kill_job(run, choice) if len(kills) % 4 == 3 else kill_all(run)
        else:
            killed = ""
        if killed:
            kills.append(killed)
            print(f"{len(kills)}: killed {killed}", flush=True)
            # The one line of the README.
            if run.returncode == -signal.SIGKILL:
                assert snakemake("--unlock", cwd=study.clone).returncode == 0
            again = ("--rerun-incomplete",)
        else:
            assert run.returncode == 0, study.last_lines()
            print(f"complete after {len(kills)} kills; resumed: {study.resumed()}", flush=True)
            assert_like(study, reference)
            resumed, again = resumed + study.resumed(), ()
            study.wipe()
    assert study.start(*again).wait() == 0, study.last_lines()
    assert_like(study, reference)
    assert resumed + study.resumed(), "at least one job went on from its saved state"
