"""What a finished study cost, rule by rule, from the files that Snakemake wrote; and its wall time on other machines, computed."""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, print_table, study
from forgetting.config.study import StudyConfig
from forgetting.pipeline.schedule import Task, wall_seconds

EARLIER = {"pretrain": "data", "task0": "pretrain", "recovery_controls": "pretrain"}


@dataclass(frozen=True)
class Job:
    """One measured job. seconds, cpu_seconds: wall and processor time. memory: largest resident size, MB."""

    seed: str
    rule: str
    arm: str
    seconds: float
    cpu_seconds: float
    memory: float

    @property
    def name(self) -> tuple[str, str, str]:
        return self.seed, self.rule, self.arm

    @property
    def needs(self) -> tuple[str, str, str] | None:
        """The job that must end before this one starts; all its other inputs are made before that one."""
        if self.rule == "data":
            return None
        if self.rule in EARLIER:
            return self.seed, EARLIER[self.rule], ""
        return (self.seed, "task0", "") if self.rule == "task1" else (self.seed, "task1", self.arm)


def read_jobs(folder: Path) -> list[Job]:
    """Every `seed*/**/*.tsv` below `folder`: <rule>.tsv, <rule>/<arm>.tsv, or views/<arm>/<view>.tsv. Stops when there is none."""
    jobs = []
    for path in sorted(folder.glob("seed*/**/*.tsv")):
        seed, *parts = path.relative_to(folder).with_suffix("").parts
        if parts[0] == "views":
            rule, arm = f"view_{parts[2]}", parts[1]
        elif parts == ["recovery", "controls"]:
            rule, arm = "recovery_controls", ""
        else:
            rule, arm = parts[0], "/".join(parts[1:])
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                jobs.append(Job(seed, rule, arm, *(_number(row[key]) for key in ("s", "cpu_time", "max_rss"))))
    if not jobs:
        raise SystemExit(f"error: no benchmark files below {folder}: run the study first")
    return jobs


def _number(text: str) -> float:
    """Snakemake writes `-` or NA for what it could not measure."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def threads_of(job: Job, configured: StudyConfig, cores: int) -> int:
    """Cores that Snakemake reserves for a job."""
    stage = "views" if job.rule.startswith("view_") else job.rule.removesuffix("_controls")
    return min(getattr(configured.threads, stage, 1), cores)


def wall_of(jobs: list[Job], configured: StudyConfig, cores: int) -> float:
    """Seconds on so many cores; each job takes as long as measured."""
    return wall_seconds([Task(job.name, job.seconds, threads_of(job, configured, cores), job.needs) for job in jobs], cores)


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("results", type=Path, nargs="?", default=ROOT / "results/laptop", help="folder of one scale's results")
    command.add_argument("--cores", type=int, nargs="+", default=[2, 8], help="machines to compute the wall time of")
    command.add_argument("--config", type=Path, help="overlay that the study ran with; its threads are read")
    arguments = command.parse_args()
    configured = study([arguments.config] if arguments.config else [])
    jobs = read_jobs(arguments.results / "benchmarks")
    rules = dict.fromkeys(job.rule for job in sorted(jobs, key=lambda job: -job.seconds))
    parts = {rule: [job for job in jobs if job.rule == rule] for rule in rules} | {"all": jobs}
    rows = []
    for rule, part in parts.items():
        seconds = [job.seconds for job in part]
        rows.append([rule, len(part), sum(seconds), max(seconds), sum(job.cpu_seconds for job in part), max(job.memory for job in part)])
    columns = ["rule", "jobs", "seconds", "longest job, seconds", "core-seconds", "peak memory of a job, MB"]
    print_table(f"Cost of {arguments.results.name}, measured", columns, rows)
    print("Core-seconds are sampled by Snakemake and miss the last moments of a job. Figures, tables and the report are not in it.")
    estimates = [[cores, wall_of(jobs, configured, cores) / 60] for cores in arguments.cores]
    print_table("Wall time, COMPUTED by list scheduling of the measured seconds", ["cores", "minutes"], estimates)
    print("Computed as if a job took as long as measured, whatever else runs and however many threads it gets; starting jobs is not in it.")


if __name__ == "__main__":
    main()
