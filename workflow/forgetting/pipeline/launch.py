"""Run a script in several processes that train together, a GPU for each: torchrun, with devices leased before and one message after.

python -m forgetting.pipeline.launch 4 workflow/scripts/pretrain.py --config ...
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile

import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser, run

from forgetting.errors import StudyError
from forgetting.failures import LOST_CONTACT
from forgetting.model.devices import lease_device
from forgetting.pipeline.command import run_command

SECONDS_TO_SAVE = 600
"""For a process that was asked to end; Slurm waits for less."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Where Snakemake tells how many threads a job has."""


def launch(processes: int, command: list[str]) -> None:
    """Run `command` in `processes` processes on this machine; without a GPU, on the CPU. Raises StudyError when they could not work
    together, and SystemExit when one failed that has said why, or was asked to end."""
    devices = torch.cuda.device_count()
    if 0 < devices < processes:
        raise StudyError(f"{processes} GPUs are asked for, but this job sees {devices}: lower gpus_for_pretraining")
    lease_device(devices, wanted=processes)
    for name in THREADS:
        os.environ[name] = str(max(1, int(os.environ.get(name, processes)) // processes))
    logging.disable(logging.ERROR)  # torchrun's own account of a failure, which follows the message of the process
    quiet = ",".join(f"{rank}:1" for rank in range(1, processes))  # the leader alone prints; errors of all are seen
    with tempfile.TemporaryDirectory(prefix="forgetting-launch-") as logs:
        os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(SECONDS_TO_SAVE)  # torch 2.11 has no option for it
        options = ["--standalone", "--local-addr=localhost", f"--nproc-per-node={processes}"]
        try:
            run(get_args_parser().parse_args([*options, f"--log-dir={logs}", f"--redirects={quiet}", *command]))
        except SignalException as error:
            sys.exit(128 + error.sigval)
        except ChildFailedError as error:
            sys.exit(exit_code({rank: failure.exitcode for rank, failure in error.failures.items()}))


def exit_code(codes: dict[int, int]) -> int:
    """Of the job, given those of the processes that failed, by their rank. Raises StudyError when none of them has said why."""
    if said := [code for code in codes.values() if code > 0 and code != LOST_CONTACT]:
        return min(said)
    for rank, code in codes.items():
        if code < 0 and -code != signal.SIGTERM:
            name = signal.Signals(-code).name
            raise StudyError(f"process {rank} was ended by {name} (a lost GPU, or too little memory?); run again to resume")
    raise StudyError("the processes of this training lost contact with each other; run again to resume")


if __name__ == "__main__":
    run_command(lambda: launch(int(sys.argv[1]), sys.argv[2:]))
