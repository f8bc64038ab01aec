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
JOBS_PER_DEVICE = "FORGETTING_JOBS_PER_GPU"
"""Of the environment, set by the Snakefile from `jobs_per_gpu`: it decides no result, so it is no part of a job's config."""
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_LINES = 60.0

_held: list[IO[str]] = []


def lease_device(count: int, folder: Path | None = None, wanted: int = 1) -> None:
    """Where this process sees several GPUs (`count`), leave it `wanted` of them; must come before CUDA starts.

    As many jobs as the environment variable JOBS_PER_DEVICE says (default 1) share a device: a job gets the one with the fewest holders.
    A job that wants several shares none of them. A lease is a lock on a file, which the kernel releases when the process ends, however
    it ends. When too few are free, the job holds none and waits, and says so. A process that was given one device, or has none, is left
    alone. `folder` holds the lock files; by default one below the temporary folder for this user, machine and Slurm allocation, as
    device numbers are counted within each.
    """
    if count < 2 or _held:
        return
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()] or [str(number) for number in range(count)]
    folder = folder or _default_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    places = int(os.environ.get(JOBS_PER_DEVICE, 1))
    next_line = time.monotonic()
    while not (leased := _take(folder, names[:count], places, wanted)):
        if time.monotonic() >= next_line:
            print(
                f"waiting for {'a device' if wanted == 1 else f'{wanted} devices'}: other jobs hold too many of {count}; to start no more "
                f"jobs than can run, add --resources gpu={count * places}",
                flush=True,
            )
            next_line += SECONDS_BETWEEN_LINES
        time.sleep(SECONDS_BETWEEN_TRIES)
    _held.extend(lock for locks in leased.values() for lock in locks)
    os.environ[VISIBLE] = ",".join(leased)
    print(f"device {os.environ[VISIBLE]} of {','.join(names)}", flush=True)


def _take(folder: Path, names: list[str], places: int, wanted: int) -> dict[str, list[IO[str]]]:
    """Lock one place of the device with the most free ones, or every place of `wanted` devices: the open files by device; none where
    that cannot be had, as two jobs that each hold half of what both want would wait for ever.

    Free places are counted by locking them, by one job at a time, so that none takes another's count for a place that is held.
    """
    needed = 1 if wanted == 1 else places
    with (folder / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        files = {name: [folder / f"{name.replace('/', '-')}-{place}.lock" for place in range(places)] for name in names}
        free = {name: [lock for path in paths if (lock := _lock(path)) is not None] for name, paths in files.items()}
        enough = [name for name in names if len(free[name]) >= needed]
        chosen = sorted(enough, key=lambda name: len(free[name]), reverse=True)[:wanted] if len(enough) >= wanted else []
        for name, locks in free.items():
            for lock in locks[needed if name in chosen else 0 :]:
                lock.close()
        return {name: free[name][:needed] for name in names if name in chosen}


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
