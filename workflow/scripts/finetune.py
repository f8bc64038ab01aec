"""Fine-tune on a task after Task 0 under the method of one arm."""

from __future__ import annotations

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.finetune import finetune

if __name__ == "__main__":
    run_stage(
        __doc__,
        FinetuneJob,
        finetune,
        data="folder of the data stage",
        starts=["folders of the models after Task 0 and after each task since, the last of which it starts from"],
        scratch="folder for the state to resume from",
        output="folder to write to",
    )
