"""Take part of the task vector back from the checkpoints of a finished run, and score the result."""

from __future__ import annotations

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.merging import apply_task_vector

if __name__ == "__main__":
    run_stage(
        __doc__,
        FinetuneJob,
        apply_task_vector,
        data="folder of the data stage",
        start="folder of the model after Task 0",
        base="folder of the finished Task 1 run",
        output="folder to write to",
    )
