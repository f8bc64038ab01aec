"""Two pipelines in one folder: the second is refused, with advice that does no harm."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, snakemake

from forgetting.lock import HOLDER, OURS, find_lock, remember_run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as Snakemake keeps it, locked."""
    monkeypatch.delenv(OURS, raising=False)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.output.lock").write_text("results/x\n")
    return tmp_path


def test_nobody_is_blamed_without_a_lock(state: Path) -> None:
    assert find_lock(state) is None, "a lock of somebody unknown"
    (state / HOLDER).write_text(f"{socket.gethostname()} {os.getpid()}\n")
    assert find_lock(state) is not None
    (state / "locks" / "0.output.lock").unlink()
    assert find_lock(state) is None


def test_what_a_run_starts_is_no_second_run(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OURS, "")
    remember_run(state)
    assert find_lock(state) is None
    monkeypatch.delenv(OURS)
    assert find_lock(state) is not None


def test_a_killed_run_is_told_from_one_at_work(state: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for host, process, alive, advice in (
        (socket.gethostname(), os.getpid(), True, "Do not --unlock"),
        (socket.gethostname(), ended.pid, False, "was killed. Run snakemake --unlock"),
        ("another-node", 7, False, "a run on another-node (process 7)"),
    ):
        (state / HOLDER).write_text(f"{host} {process}\n")
        lock = find_lock(state)
        assert lock is not None and lock.alive == alive and advice in lock.advice


def test_the_second_run_is_refused_and_the_first_completes(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    run = ("-c1", "data", *SMOKE)
    with (tmp_path / "first.log").open("w") as log:
        first = subprocess.Popen([sys.executable, "-m", "snakemake", *run], cwd=clone, stdout=log, stderr=subprocess.STDOUT)
    try:
        while not (clone / ".snakemake" / HOLDER).exists():
            assert first.poll() is None, (tmp_path / "first.log").read_text()
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        second, unlock = snakemake(*run, cwd=clone), snakemake("--unlock", *SMOKE, cwd=clone)
        assert second.returncode != 0 and unlock.returncode != 0
        for said in (second.stdout, unlock.stdout):
            assert f"Another Snakemake (process {first.pid}) is at work in this folder" in said
            assert "Traceback" not in said
        assert second.stdout.rstrip().splitlines()[-1].startswith("Another Snakemake"), "below Snakemake's advice to unlock"
        first.send_signal(signal.SIGCONT)
        assert first.wait(300) == 0, (tmp_path / "first.log").read_text()
    finally:
        first.kill()
        first.wait()
    done = snakemake(*run, cwd=clone)
    assert done.returncode == 0 and "Another Snakemake" not in done.stdout
