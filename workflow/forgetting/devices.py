"""The GPUs of a job where no scheduler assigns them: on a workstation, or inside one allocation of a whole node.

Snakemake counts GPUs (`--resources gpu=8`) but never says which one a job may use.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import IO

VISIBLE = "CUDA_VISIBLE_DEVICES"
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_LINES = 60.0

_held: list[IO[str]] = []


def lease_device(count: int, folder: Path | None = None, wanted: int = 1) -> None:
    """Where this process sees several GPUs (`count`), leave it the first `wanted` that no other job holds; must come before CUDA starts.

    A lease is a lock on a file, which the kernel releases when the process ends, however it ends. When too few are free, the job holds
    none and waits, and says so. A process that was given one device, or has none, is left alone. `folder` holds the lock files; by
    default one below the temporary folder for this user, machine and Slurm allocation, as device numbers are counted within each.
    """
    if count < 2 or _held:
        return
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()] or [str(number) for number in range(count)]
    folder = folder or _default_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    next_line = time.monotonic()
    while True:
        locks = _lock_some([folder / f"{name.replace('/', '-')}.lock" for name in names[:count]], wanted)
        if len(locks) == wanted:
            _held.extend(locks.values())
            os.environ[VISIBLE] = ",".join(names[number] for number in locks)
            print(f"device {os.environ[VISIBLE]} of {','.join(names)}", flush=True)
            return
        for lock in locks.values():  # two jobs that each hold half of what both want would wait for ever
            lock.close()
        if time.monotonic() >= next_line:
            print(
                f"waiting for {'a device' if wanted == 1 else f'{wanted} devices'}: other jobs hold "
                f"{f'{count - len(locks)} of' if locks else 'all'} {count}; to start no more jobs than that, add --resources gpu={count}",
                flush=True,
            )
            next_line += SECONDS_BETWEEN_LINES
        time.sleep(SECONDS_BETWEEN_TRIES)


def _lock_some(paths: list[Path], wanted: int) -> dict[int, IO[str]]:
    """Lock the first `wanted` of these files that are free, or as many as there are: the open files by their number in `paths`."""
    locks: dict[int, IO[str]] = {}
    for number, path in enumerate(paths):
        if len(locks) < wanted and (lock := _lock(path)) is not None:
            locks[number] = lock
    return locks


def _default_folder() -> Path:
    allocation = os.environ.get("SLURM_JOB_ID", "none")
    return Path(tempfile.gettempdir()) / f"forgetting-devices-{os.getuid()}-{socket.gethostname()}-{allocation}"


def _lock(path: Path) -> IO[str] | None:
    """The open and locked file, or None when another process holds it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
