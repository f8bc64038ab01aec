"""How every script that computes something starts, and how it ends: quietly, or with one clear message."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol

from forgetting.dependencies import content_digest, dependencies
from forgetting.errors import StudyError
from forgetting.failures import explain
from forgetting.tables import MADE_BY


class JobClass(Protocol):
    """A class of `config/jobs/`. This module knows none of them, as it is a part of every script and decides no result."""

    def load(self, path: Path, /) -> object: ...


def run_stage(description: str | None, job: JobClass, stage: Callable[..., None], **paths: str | list[str]) -> None:
    """The command line of a stage: `--config`, a file that `job.load` reads, and a flag for each of `paths` (with its help, in a list where
    it takes several paths); `stage(job, *paths)` gets them in order."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the job")
    for name, text in paths.items():
        several = {"nargs": "+", "help": text[0]} if isinstance(text, list) else {"help": text}
        parser.add_argument(f"--{name}", type=Path, required=True, **several)
    given = vars(parser.parse_args())
    run_command(lambda: stage(job.load(given["config"]), *(given[name] for name in paths)))


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; an error that its user can act on becomes one message and exit code 1, any other keeps its traceback.

    The command comes first: who reads a log wants to know it, and on a disk that fills up, the log then has its block, in which a message
    still has room.
    SIGTERM ends it like an error does, so that temporary files are removed; it comes too late for a `main` that is done.
    """
    use_no_more_threads_than_cores()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        print(*sys.argv, flush=True)
        MADE_BY.update(made_by(sys.argv))
        main()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except (StudyError, OSError) as error:
        sys.exit(f"error: {error}")
    except (MemoryError, RuntimeError) as error:
        if (message := explain(error)) is None:
            raise
        sys.exit(f"error: {message}")


def made_by(command: Sequence[str]) -> dict[str, str]:
    """What a job's script and config are now, from its command; nothing for a script without a config file of its own. A config that is
    piped in can be read once, and is left for the script."""
    if "--config" not in command[:-1] or not (config := Path(command[command.index("--config") + 1])).is_file():
        return {}
    script = Path(command[0]).resolve()
    code = content_digest(script, *dependencies(script))
    return {"script": script.name, "code": code, "config": str(config), "config_content": content_digest(config)}


def _terminate(number: int, frame: FrameType | None) -> None:
    os.write(sys.stdout.fileno(), b"terminated\n")  # print may be what was interrupted
    sys.exit(128 + number)


def use_no_more_threads_than_cores() -> None:
    """Lower the threads of torch, where the script uses it, to the cores that this process may use (affinity, cgroup quota), and let
    tokenizers have as many threads as Snakemake gave the job: of the variables that say so it sets all but theirs."""
    if given := os.environ.get("OMP_NUM_THREADS"):
        os.environ.setdefault("RAYON_NUM_THREADS", given)
    if torch := sys.modules.get("torch"):
        from loky import cpu_count  # type: ignore[import-untyped]

        torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))
