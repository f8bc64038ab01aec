"""What one seed of a finished study took by stage, beside its forecast: docs/results/costs.csv, from which docs/cost.md is rendered.

    .venv/bin/python benchmarks/study_costs.py --results results/laptop --seed 0 --machine "two idle cores of a Xeon server processor"

A study that was run whole, by one command, with nothing beside it: the clock is that of its first job to that of its last.
"""

from __future__ import annotations

import argparse
import json
from math import isnan
from pathlib import Path

import pandas as pd

from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.pipeline.command import run_command
from forgetting.pipeline.jobs import PlannedJob, jobs_of
from forgetting.pipeline.sizes import Sizes
from forgetting.report.export import rounded
from forgetting.report.provenance import revision
from forgetting.report.runtimes import Job, read_jobs
from forgetting.tables import atomic

OTHERS, WHOLE = "gates, tables, figures", "all"
OUTPUT = Path("docs/results/costs.csv")


def stage_of(job: PlannedJob) -> str:
    """The stage of a job as `read_jobs` names it: its path without seed, arm and file, or, of a view, with the name of the view."""
    parts = [part for part in Path(job.made).with_suffix("").parts[1:] if part not in (job.arm, "metrics", "card")]
    return "/".join(parts)


def costs(results: Path, seed: int) -> pd.DataFrame:
    """One row a stage of `all`, in the order of the study, then what is beside them, then all: jobs, forecast (core-seconds), seconds (by
    the clock, of each job) and core_seconds; of all, `clock` as well, from the start of the first job to the end of the last.

    Raises StudyError where a job of the plan has no benchmark file.
    """
    config = json.loads((results / "config.json").read_text(encoding="utf-8"))
    study = load_study(config | {"seeds": [seed]})
    planned = jobs_of(study, ("all",))
    sizes = Sizes(study)
    found, _ = read_jobs(results / "benchmarks", study.every_arm)
    own = [job for job in found if job.seed == f"seed{seed}"]
    rows = []
    for stage in dict.fromkeys(map(stage_of, planned)):
        of_stage = [job for job in planned if stage_of(job) == stage]
        measured = [job for job in own if job.stage == stage]
        if len(measured) != len(of_stage):
            raise StudyError(
                f"{results / 'benchmarks'}: {stage} of seed {seed} has {len(measured)} of {len(of_stage)} jobs; run `all` first"
            )
        sized = [sizes.of(job.rule, job.arm, job.task) for job in of_stage]
        rows.append(_row(stage, measured) | {"forecast": sum(size.seconds * size.threads for size in sized)})
    computed = {row["stage"] for row in rows}
    rows.append(_row(OTHERS, [job for job in found if job.seed in ("", f"seed{seed}") and job.stage not in computed]))
    whole = pd.DataFrame(rows)
    clock = max(job.ended for job in own) - min(job.started for job in own)
    total = {"stage": WHOLE, "clock": clock, **whole.sum(numeric_only=True)}
    return pd.concat([whole, pd.DataFrame([total])], ignore_index=True)


def _row(stage: str, jobs: list[Job]) -> dict[str, object]:
    cores = [job.cpu_seconds for job in jobs if not isnan(job.cpu_seconds)]
    return {"stage": stage, "jobs": len(jobs), "seconds": sum(job.seconds for job in jobs), "core_seconds": sum(cores)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of the study, results/<scale>")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--machine", required=True, help="what it ran on, in words")
    arguments = parser.parse_args()
    table = rounded(costs(arguments.results, arguments.seed))
    table = table.assign(scale=arguments.results.name, seed=arguments.seed, machine=arguments.machine, revision=revision(Path.cwd()).commit)
    with atomic(OUTPUT) as part:
        table.to_csv(part, index=False)
    print(table.to_string())


if __name__ == "__main__":
    run_command(main)
