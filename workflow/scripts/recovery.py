"""Recovery probes from the checkpoints of one arm."""

from __future__ import annotations

from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.recovery import recover_arm

if __name__ == "__main__":
    run_stage(
        __doc__,
        RecoveryJob,
        recover_arm,
        data="folder of the data stage",
        task0="folder of what the arm started from",
        task1="folder of the arm",
        scratch="folder for finished probes",
        output="folder to write to",
    )
