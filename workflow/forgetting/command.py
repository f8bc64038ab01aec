"""How every script that computes something ends: quietly, or with one clear message."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from forgetting.errors import StudyError


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; an error that its user can act on becomes one message and exit code 1, any other keeps its traceback."""
    keep_freed_memory()
    try:
        main()
    except (StudyError, OSError) as error:
        sys.exit(f"error: {error}")


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
