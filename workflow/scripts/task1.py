"""Fine-tune on Task 1 under the method of one arm."""

from __future__ import annotations

from forgetting.config.job import load_run
from forgetting.pipeline.command import run_stage
from forgetting.stages.task1 import finetune_task1

if __name__ == "__main__":
    run_stage(
        __doc__,
        load_run,
        finetune_task1,
        data="folder of the data stage",
        start="folder of the model after Task 0",
        scratch="folder for the state to resume from",
        output="folder to write to",
    )
