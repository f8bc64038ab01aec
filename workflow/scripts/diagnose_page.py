"""The verdict of a diagnosis and its page."""

from __future__ import annotations

from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.command import run_stage
from forgetting.report.diagnosis import write_diagnosis

if __name__ == "__main__":
    run_stage(
        __doc__,
        DiagnosisJob,
        write_diagnosis,
        data="folder of the examples",
        probes="folder of the probes",
        remedies="file of the repairs",
        template="folder of the template",
        output="folder to write to",
    )
