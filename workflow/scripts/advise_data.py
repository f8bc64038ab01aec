"""Read and split the examples of an advice."""

from __future__ import annotations

from forgetting.config.jobs.advice import AdviceJob
from forgetting.pipeline.command import run_stage
from forgetting.stages.advice_data import prepare_advice

if __name__ == "__main__":
    run_stage(__doc__, AdviceJob, prepare_advice, output="folder to write to")
