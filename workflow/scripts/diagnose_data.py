"""Read and split the examples of a diagnosis."""

from __future__ import annotations

from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.diagnosis_data import prepare

if __name__ == "__main__":
    run_stage(__doc__, DiagnosisJob, prepare, output="folder to write to")
