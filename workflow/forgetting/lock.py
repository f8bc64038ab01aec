"""Who works in this folder: Snakemake refuses a second run, but not in words that keep its user from a dangerous `--unlock`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

STATE = Path(".snakemake")
HOLDER = "forgetting-run"
"""File beside the locks with the host and process of the run that took them last."""
OURS = "FORGETTING_RUN"
"""Environment variable by which what a run starts, such as the report, knows that the lock is its own."""


def remember_run(state: Path = STATE) -> None:
    """Write down that this process runs jobs in the folder. Called when it has the lock."""
    os.environ[OURS] = str(os.getpid())
    (state / HOLDER).write_text(f"{socket.gethostname()} {os.getpid()}\n", encoding="utf-8")


class Lock(NamedTuple):
    """A lock in the folder: what its user can do about it, and whether the run that holds it is known to live."""

    advice: str
    alive: bool


def find_lock(state: Path = STATE) -> Lock | None:
    """The lock of another run. None where there is none, or nobody is known to hold it."""
    try:
        if not any((state / "locks").iterdir()):
            return None
        host, process = (state / HOLDER).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    if process == os.environ.get(OURS):
        return None
    if host != socket.gethostname():
        return Lock(
            f"This folder is locked by a run on {host} (process {process}). While that lives, wait for it, or work in another clone; "
            "never --unlock. If it was killed: --unlock, then the same command with --rerun-incomplete.",
            alive=False,
        )
    if is_alive(int(process)):
        return Lock(
            f"Another Snakemake (process {process}) is at work in this folder. Wait until it ends, or work in another clone. "
            f"Do not --unlock: both would write the same files. "
            f"(If process {process} is something else, delete {state / HOLDER} and then --unlock.)",
            alive=True,
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
