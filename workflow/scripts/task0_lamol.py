"""Fine-tune the pretrained model on Task 0 for LAMOL, which also learns to write the questions."""

from __future__ import annotations

from forgetting.config.job import load_run
from forgetting.pipeline.command import run_stage
from forgetting.stages.task0_lamol import finetune_task0_lamol

if __name__ == "__main__":
    run_stage(
        __doc__,
        load_run,
        finetune_task0_lamol,
        data="folder of the data stage",
        start="folder of the pretrained model",
        scratch="folder for the state to resume from",
        output="folder to write to",
    )
