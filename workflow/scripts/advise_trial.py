"""Try one method on a model, for a short training on new examples."""

from __future__ import annotations

from forgetting.config.jobs.advice import AdviceJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.advice import try_method

if __name__ == "__main__":
    run_stage(
        __doc__,
        AdviceJob,
        lambda job, method, *paths: try_method(job, method.name, *paths),
        method="seq, freeze-PERCENT, lora or replay-PERCENT",
        data="folder of the examples",
        scratch="folder for finished trials",
        output="folder to write to",
    )
