"""Forecast of jobs, GPU or core hours, memory and disk by stage. Nothing is run: Snakemake is asked for its plan."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from forgetting.command import run_command
from forgetting.config import StudyConfig, load_study
from forgetting.errors import StudyError
from forgetting.forecast import Stage, forecast, total


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


def report(study: StudyConfig, stages: list[Stage], with_methods: list[Stage]) -> str:
    """The table, and what it rests on."""
    gpus, pretraining = bool(study.gpus_per_job), study.pretraining_gpus
    machine = ("one GPU a job" + (f", {pretraining} for pretraining" if pretraining > 1 else "")) if gpus else "no GPU"
    rows = [row(stage, stage.name, gpus) for stage in stages]
    rows += [row(total(stages), "all", gpus), row(total(with_methods), "all and methods", gpus)]
    columns = ["stage", "jobs", "GPU hours" if gpus else "core hours", "longest job, hours", "memory, GB", "disk, GB"]
    return (
        f"Scale {study.scale}, {len(study.seeds)} seed(s), {machine}\n\n"
        + pd.DataFrame(rows, columns=columns).to_markdown(index=False, floatfmt=".2f")
        + f"\n\nComputed, not measured: {study.operations_per_second:.2g} operations a second of one "
        + f"{'GPU' if gpus else 'CPU thread'} (operations_per_second in the config). Disk is what stays; memory is that of the largest job."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the merged config of the study, as JSON")
    text = parser.parse_args().config.read_text()
    study = load_study(json.loads(text))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        plans = [plan_of(targets, Path(file.name)) for targets in (["all"], ["all", "methods"])]
    print(report(study, *(forecast(study, plan) for plan in plans)))


if __name__ == "__main__":
    run_command(main)
