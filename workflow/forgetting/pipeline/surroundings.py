"""What a run finds around itself: the environment variables of its jobs, and where it is started. (No torch.)"""

from __future__ import annotations

import platform
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from forgetting.config.fields import ConfigError

STATES = "FORGETTING_SECONDS_BETWEEN_STATES"
_OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What `torchrun` tells its processes. A job that inherits it would wait for others that do not exist."""
_AWKWARD = " \t\"'`$&;()<>|*?[]\\"


def set_surroundings(environment: MutableMapping[str, str]) -> None:
    """Environment of all jobs: large buffers are kept by the C library, threads that wait sleep unless the user says otherwise, and no job
    takes itself for a process of a launcher.

    The GNU C library keeps the large buffers that every training step frees and asks for again; else the system maps each anew and fills
    it with zeros. Its versions before 2.35 ignore a threshold above 32 MiB, and other C libraries ignore both.

    Threads that wait for each other busily hold the very core that the other one needs, where there are fewer free cores than threads: on
    two cores beside one busy process, pretraining with two threads made less than a tenth of its usual steps; with threads that sleep,
    two fifths.
    """
    name, version = platform.libc_ver()
    old = name == "glibc" and tuple(map(int, version.split(".")[:2])) < (2, 35)
    environment["MALLOC_MMAP_THRESHOLD_"] = str(2**25 if old else 2**30)
    environment["MALLOC_TRIM_THRESHOLD_"] = str(2**40)
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for variable in _OF_A_LAUNCHER:
        environment.pop(variable, None)


def check_folder(folder: Path, on_cluster: bool) -> None:
    """Raises ConfigError for a folder whose name a shell on a cluster node would take apart."""
    if on_cluster and (found := sorted(set(str(folder)) & set(_AWKWARD))):
        raise ConfigError(
            f"{folder}: a path with {' '.join(map(repr, found))} in it does not reach the jobs of a cluster; use another folder"
        )


def check_variables(environment: Mapping[str, str]) -> None:
    """Raises ConfigError for a variable of ours that is no number."""
    given = environment.get(STATES)
    if given is None:
        return
    try:
        positive = float(given) > 0
    except ValueError:
        positive = False
    if not positive:
        raise ConfigError(f"{STATES} must be a number of seconds above 0, not {given!r}")
