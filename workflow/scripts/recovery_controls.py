"""The recovery probe from the pretrained model and from random weights."""

from __future__ import annotations

from forgetting.config.job import load_run
from forgetting.pipeline.command import run_stage
from forgetting.stages.recovery import recover_controls

if __name__ == "__main__":
    run_stage(
        __doc__,
        load_run,
        recover_controls,
        data="folder of the data stage",
        start="folder of the pretrained model",
        scratch="folder for finished probes",
        output="folder to write to",
    )
