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

from forgetting.pipeline.lock import HOLDERS, OURS, find_lock, remember_run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as Snakemake keeps it, locked."""
    monkeypatch.delenv(OURS, raising=False)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.output.lock").write_text("results/x\n")
    (tmp_path / HOLDERS).mkdir()
    return tmp_path


def hold(state: Path, process: int, host: str = socket.gethostname()) -> None:
    (state / HOLDERS / f"{host}.{process}").touch()


def test_nobody_is_blamed_without_a_lock(state: Path) -> None:
    assert find_lock(state) is None, "a lock of somebody unknown"
    hold(state, os.getpid())
    assert find_lock(state) is not None
    (state / "locks" / "0.output.lock").unlink()
    assert find_lock(state) is None


def test_what_a_run_starts_is_no_second_run(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OURS, "")
    monkeypatch.setattr("atexit.register", lambda *_, **__: None)
    remember_run(state)
    assert find_lock(state) is None
    monkeypatch.delenv(OURS)
    assert find_lock(state) is not None


@pytest.fixture
def ended() -> int:
    """A process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_killed_run_is_told_from_one_at_work(state: Path, ended: int) -> None:
    for host, process, alive, advice in (
        (socket.gethostname(), ended, False, "was killed. Run snakemake --unlock"),
        ("another.node", 7, False, "a run on another.node (process 7)"),
        (socket.gethostname(), os.getpid(), True, "Do not --unlock"),
    ):
        hold(state, process, host)  # beside those before it: what lives counts most
        lock = find_lock(state)
        assert lock is not None and lock.alive == alive and advice in lock.advice


def test_a_run_is_forgotten_when_it_ends_and_a_killed_one_by_the_next(state: Path, ended: int) -> None:
    hold(state, ended)
    code = "import sys; from pathlib import Path; from forgetting.pipeline.lock import remember_run; remember_run(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", f"{code}; print(*Path(sys.argv[1]).glob('{HOLDERS}/*'))", str(state)], check=True)
    assert not list((state / HOLDERS).iterdir())


def test_the_second_run_is_refused_and_the_first_completes(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    run = ("-c1", "data", *SMOKE)
    with (tmp_path / "first.log").open("w") as log:
        first = subprocess.Popen([sys.executable, "-m", "snakemake", *run], cwd=clone, stdout=log, stderr=subprocess.STDOUT)
    try:
        while not any((clone / ".snakemake").glob(f"{HOLDERS}/*")):
            assert first.poll() is None, (tmp_path / "first.log").read_text()
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        look = snakemake("-c1", "status", *SMOKE, cwd=clone)
        assert look.returncode == 0, look.stdout
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
