"""Try repairs of a diagnosed model that need no training."""

from __future__ import annotations

from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.command import run_stage
from forgetting.views.remedies import remedies

if __name__ == "__main__":
    run_stage(__doc__, DiagnosisJob, remedies, data="folder of the examples", probes="folder of the probes", output="folder to write to")
