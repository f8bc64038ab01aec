"""Training state that survives a killed job and never leaks into a run with another config."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from forgetting.config.jobs.base import Job
from forgetting.dependencies import content_digest, dependencies
from forgetting.tables import atomic, writing

STATE = "state.pt"


def digest(job: Job, inputs: Sequence[Path], code: Sequence[Path]) -> str:
    """What a saved state must have been made with to be resumed, by content: the job's whole config, its input files, and the part of the
    library that these modules depend on."""
    config = json.dumps(job.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(f"{config}{content_digest(*dependencies(*code), *inputs)}".encode()).hexdigest()


class Scratch:
    """A folder beside the declared outputs, which Snakemake deletes when a job dies: it holds the state to resume from, and finished
    checkpoints until the whole job is done.

    inputs: the files that the result depends on. code: the module of the stage and others that it does not import itself; what they
    import counts, too.
    """

    def __init__(self, folder: Path, job: Job, inputs: Sequence[Path] = (), code: Sequence[Path] = ()) -> None:
        self.folder, self.mark = folder, digest(job, inputs, code)
        mark_file = folder / "digest"
        if not mark_file.exists() or mark_file.read_text(encoding="utf-8") != self.mark:
            self._start_afresh()

    def _start_afresh(self) -> None:
        """Empty the folder: nothing of another config, input or code, or of a damaged state, may be mixed into this run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with atomic(self.folder / "digest") as part:
            part.write_text(self.mark, encoding="utf-8")

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, history: dict[str, Any]) -> None:
        """Replace the saved state, atomically."""
        state = {
            "step": step,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history,
        }
        path = self.folder / STATE
        with atomic(path) as part, writing(path, RuntimeError):  # which torch makes of a full disk
            torch.save(state, part)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]] | None:
        """Restore a saved state into `model` and `optimizer`; the step and the history, or None when nothing usable is saved."""
        path = self.folder / STATE
        if not path.exists():
            return None
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # a damaged archive raises many kinds
            print(f"{path}: cannot be read ({error}); starting afresh", flush=True)
            self._start_afresh()
            return None
        model.load_state_dict(state["model"])
        # Whether the learning rate is a number or lies on a device is this job's affair.
        own: list[dict[str, Any]] = [
            {name: group[name] for name in ("lr", "capturable") if name in group} for group in optimizer.param_groups
        ]
        optimizer.load_state_dict(state["optimizer"])
        for group, options in zip(optimizer.param_groups, own, strict=True):
            group.update(options)
        return state["step"], state["history"]

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class _Interrupted(BaseException):
    """A request to end that came in a block that may be broken off."""


class Preemption:
    """When active, notices SIGTERM and Ctrl-C, so that the loop can save and leave between two steps.

    requested: the signal that came, 0 for none.
    """

    def __init__(self, active: bool) -> None:
        self.requested, self._breakable = 0, False
        self._previous = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)} if active else {}

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = number
        if self._breakable:
            raise _Interrupted

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """A request breaks this block off: an evaluation can take longer than a cluster waits, and is done again when the job resumes."""
        self._breakable = True
        try:
            yield
        except _Interrupted:
            pass
        finally:
            self._breakable = False

    def leave(self, step: int, requested: int) -> None:
        """End the process as one that was terminated by this signal."""
        print(f"terminated at step {step}, state saved; run again to resume", flush=True)
        sys.exit(128 + requested)

    def release(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
