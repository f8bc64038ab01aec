"""One GPU a job where no scheduler assigns them: on a workstation, or inside one allocation of a whole node.

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

_held: IO[str] | None = None


def lease_device(count: int, folder: Path | None = None) -> None:
    """Where this process sees several GPUs (`count`), leave it the first that no other job holds; must come before CUDA starts.

    A lease is a lock on a file, which the kernel releases when the process ends, however it ends. When all are held, the job waits, and
    says so. A process that was given one device, or has none, is left alone. `folder` holds the lock files; by default one below the
    temporary folder for this user, machine and Slurm allocation, as device numbers are counted within each.
    """
    global _held
    if count < 2 or _held is not None:
        return
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()] or [str(number) for number in range(count)]
    folder = folder or _default_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    next_line = time.monotonic()
    while True:
        for name in names[:count]:
            if (_held := _lock(folder / f"{name.replace('/', '-')}.lock")) is not None:
                os.environ[VISIBLE] = name
                print(f"device {name} of {','.join(names)}", flush=True)
                return
        if time.monotonic() >= next_line:
            print(
                f"waiting for a device: other jobs hold all {count}; to start no more jobs than that, add --resources gpu={count}",
                flush=True,
            )
            next_line += SECONDS_BETWEEN_LINES
        time.sleep(SECONDS_BETWEEN_TRIES)


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
