"""What a failure of the machine means to the user, from the errors that torch makes of it. Imports no torch: some scripts do without."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOST_CONTACT = 75
"""Exit code of a process that failed only because another one, with which it trained, did."""
LINE = 200
"""Characters of an error that are told."""
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED")
DEVICE = re.compile(r"CUDA (driver )?error|CUDA-capable device|NVML|CUBLAS_STATUS|CUDNN_STATUS|cuDNN error|cuSOLVER error")
COMPILERS = ("torch._dynamo", "torch._inductor", "triton")
"""Where errors of compiled code come from: a GPU that is not supported, or a node without a C compiler or the headers of Python."""
CONTACT = re.compile(r"gloo|Connection (closed|reset)|NCCL|Broken pipe|Socket Timeout")


def explain(error: BaseException) -> str | None:
    """What happened and what to do, in one line, when the GPU or the memory failed; None for any other error, such as one of our code.

    A job never saves a state after an error, so its last one is intact.
    """
    if _out_of_memory(error):
        return f"{next(iter(getattr(error, '__notes__', ())), 'out of memory: lower evaluation.batch_size')} ({first_line(error)})"
    if _of_torch(error) and (type(error).__name__ == "AcceleratorError" or DEVICE.search(str(error))):
        return f"the GPU failed or was lost: {first_line(error)}; run again to resume from the last saved state"
    if type(error).__module__.startswith(COMPILERS):
        reason = first_line(getattr(error, "inner_exception", error))
        return f"the training step could not be compiled: {reason}; with FORGETTING_PLAIN_STEPS=1 in the environment it need not be"
    return None


@contextmanager
def when_out_of_memory(where: str, lower: str) -> Iterator[None]:
    """Let an error of this block that is about memory tell where it was and what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if _out_of_memory(error):
            error.add_note(f"out of memory at {where}: lower {lower}")
        raise


def lost_contact(error: BaseException) -> bool:
    """Whether processes that train together could not reach each other."""
    return _of_torch(error) and (type(error).__name__.startswith("Dist") or bool(CONTACT.search(str(error))))


def first_line(error: BaseException) -> str:
    """The beginning of what an error says; those of a GPU go on with advice on debugging."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:LINE]


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (_of_torch(error) and bool(OUT_OF_MEMORY.search(str(error))))


def _of_torch(error: BaseException) -> bool:
    """Errors of devices are RuntimeErrors, some of classes of their own."""
    return "torch" in sys.modules and isinstance(error, RuntimeError)
