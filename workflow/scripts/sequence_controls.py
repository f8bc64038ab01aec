"""The recovery probes of a sequence from models that never learned its tasks."""

from __future__ import annotations

from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.sequence import recover_unlearned

if __name__ == "__main__":
    run_stage(
        __doc__,
        SequenceRecoveryJob,
        recover_unlearned,
        data="folder of the data stage",
        pretrain="folder of the pretrained model",
        task0="folder of the model after Task 0",
        scratch="folder for finished probes",
        output="folder to write to",
    )
