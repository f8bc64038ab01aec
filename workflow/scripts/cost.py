"""Forecast of jobs, GPU or core hours, memory and disk by stage. Nothing is run: Snakemake is asked for its plan."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from math import inf
from pathlib import Path

import pandas as pd

from forgetting.config.study import StudyConfig, load_study
from forgetting.errors import StudyError
from forgetting.pipeline.command import run_command
from forgetting.pipeline.forecast import Stage, forecast, total, wall_hours

TARGETS = {"all": ["all"], "all and methods": ["all", "methods"]}
MACHINES = (1, 2, 8, inf)
"""Of how many GPUs, or cores, the time by the clock is told; with any number of them, the longest chain of jobs is left."""


def plan_of(targets: list[str], config: Path) -> str:
    """What Snakemake would do for these targets in a folder without results."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", *targets, "--configfile", str(config)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise StudyError(f"Snakemake has no plan for {' '.join(targets)}:\n{done.stdout[-2000:]}")
    return done.stdout.partition("Job stats:")[2]


def row(stage: Stage, name: str, gpus: bool) -> list[object]:
    hours = stage.gpu_hours if gpus else stage.core_hours
    return [name, stage.jobs, hours, stage.longest, stage.memory / 1000, stage.disk / 1e9]


def report(study: StudyConfig, plans: list[str]) -> str:
    """The tables for the plans of TARGETS, and what they rest on."""
    gpus = bool(study.gpus_per_job)
    unit, pretraining = "GPU" if gpus else "core", study.pretraining_gpus
    machine = ("one GPU a job" + (f", {pretraining} for pretraining" if pretraining > 1 else "")) if gpus else "no GPU"
    stages, with_methods = (forecast(study, plan) for plan in plans)
    rows = [row(stage, stage.name, gpus) for stage in stages]
    rows += [row(total(stages), "all", gpus), row(total(with_methods), "all and methods", gpus)]
    columns = ["stage", "jobs", f"{unit} hours", "longest job, hours", "memory, GB", "disk, GB"]
    walls = [[name, *(wall_hours(study, plan, units) for units in MACHINES)] for name, plan in zip(TARGETS, plans, strict=True)]
    machines = [f"{units} {unit}s" for units in MACHINES[:-1]]
    return "\n\n".join(
        [
            f"Scale {study.scale}, {len(study.seeds)} seed(s), {machine}",
            pd.DataFrame(rows, columns=columns).to_markdown(index=False, floatfmt=".2f"),
            pd.DataFrame(walls, columns=["hours by the clock", *machines, "longest chain"]).to_markdown(index=False, floatfmt=".2f"),
            f"Computed, not measured: {study.operations_per_second:.2g} operations a second of one "
            f"{'GPU' if gpus else 'CPU thread'} (operations_per_second in the config). Disk is what stays; memory is that of the largest "
            "job. docs/cost.md explains the formulas.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the merged config of the study, as JSON")
    text = parser.parse_args().config.read_text()
    study = load_study(json.loads(text))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        plans = [plan_of(targets, Path(file.name)) for targets in TARGETS.values()]
    print(report(study, plans))


if __name__ == "__main__":
    run_command(main)
