"""Train one of the models of a diagnosis on old examples, and measure it on others."""

from __future__ import annotations

from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.diagnosis import probe

if __name__ == "__main__":
    run_stage(
        __doc__,
        DiagnosisJob,
        lambda job, start, *paths: probe(job, start.name, *paths),
        start="before, after, base or random",
        data="folder of the examples",
        scratch="folder for finished runs",
        output="folder to write to",
    )
