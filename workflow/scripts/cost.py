"""Forecast of jobs, GPU or core hours, memory and disk by stage, computed from the config; nothing is run. With a section `diagnose` or
`advise`, that of the diagnosis or the advice."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from loky import cpu_count  # type: ignore[import-untyped]

from forgetting.config.study import StudyConfig, load_study
from forgetting.pipeline.architectures import variant_configs, variant_jobs
from forgetting.pipeline.command import run_command
from forgetting.pipeline.forecast import forecast
from forgetting.pipeline.given_plan import advice_forecast, diagnosis_forecast
from forgetting.pipeline.jobs import EXPERIMENTS, jobs_of


def report(study: StudyConfig, variants: dict[str, dict[str, Any]]) -> str:
    """The table by stage, and what it rests on. variants: the configs of the studies of other architectures."""
    gpus = bool(study.gpus_per_job)
    unit = "GPU" if gpus else "core"
    machine = "one GPU a job" if gpus else "no GPU"
    if study.pretraining_gpus > 1:
        machine += f", {study.pretraining_gpus} for pretraining"
    stages = [*forecast(study, jobs_of(study, ("all",))), forecast(study, jobs_of(study, ("all", "methods")), "all and methods")[-1]]
    stages += [forecast(study, jobs_of(study, (target,)), target)[-1] for target in study.targets if target in ("sequence", *EXPERIMENTS)]
    rows = []
    for stage in stages:
        hours = stage.gpu_hours if gpus else stage.core_hours
        rows.append([stage.name, stage.jobs, hours, stage.longest, stage.memory / 1000, stage.disk / 1e9])
    for name, config in variants.items():
        whole = forecast(load_study(config), variant_jobs(load_study(config)), f"architectures: {name}")[-1]
        hours = whole.gpu_hours if gpus else whole.core_hours
        rows.append([whole.name, whole.jobs, hours, whole.longest, whole.memory / 1000, whole.disk / 1e9])
    columns = ["stage", "jobs", f"{unit} hours", "longest job, hours", "memory, GB", "disk, GB"]
    return "\n\n".join(
        [
            f"Scale {study.scale}, {len(study.seeds)} seed(s), {machine}",
            pd.DataFrame(rows, columns=columns).to_markdown(index=False, floatfmt=".2f"),
            f"Computed, not measured: {study.operations_per_second:.2g} operations a second of one "
            f"{'GPU' if gpus else 'CPU thread'} (operations_per_second in the config). Disk is what stays; memory is that "
            "of the largest job. Figures, tables and gates, seconds each, are not counted. docs/cost.md explains the "
            "formulas.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the merged config of the study, as JSON")
    config = json.loads(parser.parse_args().config.read_text())
    study = load_study(config)
    speed, cores = study.operations_per_second, cpu_count()
    if study.diagnose:
        print(diagnosis_forecast(study.diagnose, speed, cores))
    if study.advise:
        print(advice_forecast(study.advise, speed, cores))
    if not study.diagnose and not study.advise:
        print(report(study, variant_configs(config)))


if __name__ == "__main__":
    run_command(main)
