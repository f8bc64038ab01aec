"""Pretrain a model on the biographies of one seed."""

from __future__ import annotations

from forgetting.config.job import load_run
from forgetting.pipeline.command import run_stage
from forgetting.stages.pretraining import pretrain

if __name__ == "__main__":
    run_stage(
        __doc__,
        load_run,
        pretrain,
        data="folder of the data stage",
        resources="folder of pools, templates and questions",
        scratch="folder for the state to resume from",
        output="folder to write to",
    )
