"""The recovery probe from the pretrained model, from random weights, and from the stages before Task 1."""

from __future__ import annotations

from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.recovery import recover_controls

if __name__ == "__main__":
    run_stage(
        __doc__,
        RecoveryJob,
        recover_controls,
        data="folder of the data stage",
        pretrain="folder of the pretraining",
        task0="folder of Task 0",
        scratch="folder for finished probes",
        output="folder to write to",
    )
