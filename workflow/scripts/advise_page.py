"""Which method to take, and the page of the advice."""

from __future__ import annotations

from forgetting.config.jobs.advice import AdviceJob
from forgetting.pipeline.command import run_stage
from forgetting.report.advice import write_advice

if __name__ == "__main__":
    run_stage(
        __doc__,
        AdviceJob,
        write_advice,
        data="folder of the examples",
        trials="folder of the trials",
        template="folder of the template",
        output="folder to write to",
    )
