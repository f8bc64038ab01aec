"""How every script that computes something starts, and how it ends: quietly, or with one clear message."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from forgetting.errors import StudyError
from forgetting.failures import explain


def run_stage(description: str | None, read: Callable[[Path], Any], stage: Callable[..., None], **paths: str) -> None:
    """The command line of a stage: `--config`, and a flag for each of `paths` (with its help), which `stage(config, *paths)` gets in
    order. `read` makes the config of the file; it is an argument so that this module imports nothing that decides a number."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the run")
    for name, text in paths.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    given = vars(parser.parse_args())
    run_command(lambda: stage(read(given["config"]), *(given[name] for name in paths)))


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; an error that its user can act on becomes one message and exit code 1, any other keeps its traceback.

    The command comes first: who reads a log wants to know it, and on a disk that fills up, the log then has its block, in which a message
    still has room.
    SIGTERM ends it like an error does, so that temporary files are removed; it comes too late for a `main` that is done.
    """
    keep_freed_memory()
    use_no_more_threads_than_cores()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        print(*sys.argv, flush=True)
        main()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except (StudyError, OSError) as error:
        sys.exit(f"error: {error}")
    except (MemoryError, RuntimeError) as error:
        if (message := explain(error)) is None:
            raise
        sys.exit(f"error: {message}")


def _terminate(number: int, frame: FrameType | None) -> None:
    os.write(sys.stdout.fileno(), b"terminated\n")  # print may be what was interrupted
    sys.exit(128 + number)


def use_no_more_threads_than_cores() -> None:
    """Lower the threads of torch, where the script uses it, to the cores that this process may use (affinity, cgroup quota)."""
    if torch := sys.modules.get("torch"):
        from loky import cpu_count  # type: ignore[import-untyped]

        torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))


def keep_freed_memory() -> None:
    """Ask the GNU C library not to give freed blocks back to the system.

    A training step frees and asks for the same large buffers; without this each one is mapped anew and filled with zeros by the kernel.
    """
    if os.name == "posix" and sys.platform == "linux":
        import ctypes

        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            mmap_threshold, trim_threshold = -3, -1
            library.mallopt(mmap_threshold, 1 << 30)
            library.mallopt(trim_threshold, -1)
