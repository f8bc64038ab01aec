"""Recovery of every earlier task from the end of a task of one arm."""

from __future__ import annotations

from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.sequence import recover_earlier

if __name__ == "__main__":
    run_stage(
        __doc__,
        SequenceRecoveryJob,
        recover_earlier,
        data="folder of the data stage",
        run="folder of the run on the task",
        scratch="folder for finished probes",
        output="folder to write to",
    )
