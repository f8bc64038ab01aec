"""Who works in this folder: Snakemake refuses a second run, but not in words that keep its user from a dangerous `--unlock`."""

from __future__ import annotations

import atexit
import os
import socket
from pathlib import Path
from typing import NamedTuple

STATE = Path(".snakemake")
HOLDERS = "forgetting-runs"
"""Folder beside the locks with an empty file HOST.PROCESS for each run that took some."""
OURS = "FORGETTING_RUN"
"""Environment variable by which what a run starts, such as the report, knows that the lock is its own."""


def remember_run(state: Path = STATE) -> None:
    """Write down that this process runs jobs in the folder, until it ends. Called when it has the lock."""
    os.environ[OURS] = str(os.getpid())
    holder = state / HOLDERS / f"{socket.gethostname()}.{os.getpid()}"
    holder.parent.mkdir(exist_ok=True)
    for host, process in _holders(state):
        if host == socket.gethostname() and not is_alive(process):
            (holder.parent / f"{host}.{process}").unlink(missing_ok=True)
    holder.touch()
    atexit.register(holder.unlink, missing_ok=True)


def _holders(state: Path) -> list[tuple[str, int]]:
    """Host and process of each run that took locks and did not end by itself."""
    names = [path.name.rpartition(".") for path in (state / HOLDERS).glob("*.*")]
    return sorted((host, int(process)) for host, _, process in names)


class Lock(NamedTuple):
    """A lock in the folder: what its user can do about it, and whether the run that holds it is known to live."""

    advice: str
    alive: bool


def find_lock(state: Path = STATE) -> Lock | None:
    """The lock of another run. None where there is none, where this run has taken its own, or nobody is known to hold it."""
    locks, holders = state / "locks", _holders(state)
    if OURS in os.environ or not holders or not locks.is_dir() or not any(locks.iterdir()):
        return None
    here = socket.gethostname()
    for process in (process for host, process in holders if host == here and is_alive(process)):
        return Lock(
            f"Another Snakemake (process {process}) is at work in this folder. Wait until it ends, or work in another clone. "
            f"Do not --unlock: both would write the same files. "
            f"(If process {process} is something else, delete {state / HOLDERS / f'{here}.{process}'} and then --unlock.)",
            alive=True,
        )
    for host, process in (holder for holder in holders if holder[0] != here):
        return Lock(
            f"This folder is locked by a run on {host} (process {process}). While that lives, wait for it, or work in another clone; "
            "never --unlock. If it was killed: --unlock, then the same command with --rerun-incomplete.",
            alive=False,
        )
    return Lock(
        "This folder is locked by a run that was killed. Run snakemake --unlock, then the same command with --rerun-incomplete.",
        alive=False,
    )


def is_alive(process: int) -> bool:
    """Whether this host has such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
