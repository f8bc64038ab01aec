"""Fine-tune the pretrained model on Task 0."""

from __future__ import annotations

from forgetting.config.job import load_run
from forgetting.pipeline.command import run_stage
from forgetting.stages.task0 import finetune_task0

if __name__ == "__main__":
    run_stage(
        __doc__,
        load_run,
        finetune_task0,
        data="folder of the data stage",
        start="folder of the pretrained model",
        scratch="folder for the state to resume from",
        output="folder to write to",
    )
