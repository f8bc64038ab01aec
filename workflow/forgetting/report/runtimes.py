"""Run time and memory of the jobs of a study, from Snakemake's benchmark files."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

OTHER_STAGES = ("data", "gates", "comparison", "figures", "tables")
"""First part of the stages that neither train nor evaluate nor compute a view."""


@dataclass(frozen=True)
class Job:
    """One job. `seconds` by the clock, `cpu_seconds` of all its threads, `memory` its peak resident megabytes; NaN: not measured."""

    stage: str
    seed: str
    seconds: float
    cpu_seconds: float
    memory: float
    ended: float

    @property
    def started(self) -> float:
        return self.ended - self.seconds

    @property
    def works(self) -> bool:
        """Whether it trains, evaluates or computes a view."""
        return self.stage.partition("/")[0] not in OTHER_STAGES


@dataclass(frozen=True)
class StageCost:
    """All jobs of one stage. Seconds, and megabytes; `share` of the seconds of all jobs."""

    stage: str
    jobs: int
    seconds: float
    longest: float
    cpu_seconds: float
    memory: float
    share: float


def read_jobs(folder: Path, arms: Collection[str]) -> tuple[list[Job], list[str]]:
    """The jobs with a benchmark file below `folder`, and the files that do not say how long their job took.

    The stage is the path of the file without seed and arm, as in `results/`: `task1`, `views/landscape`. Arms that the config no
    longer has are known by their file in `task1/`. Columns that are missing or `NA` (jobs of less than a moment) become NaN.
    """
    arms = {*arms, *(path.name.removesuffix(".tsv") for path in folder.glob("seed*/task1/*.tsv"))}
    jobs, unreadable = [], []
    for path in sorted(folder.rglob("*.tsv")):
        parts = path.relative_to(folder).with_suffix("").parts
        seed = parts[0] if re.fullmatch(r"seed\d+", parts[0]) else ""
        stage = "/".join(part for part in parts[bool(seed) :] if part not in arms)
        with path.open(newline="") as file:
            row = (list(csv.DictReader(file, delimiter="\t")) or [{}])[-1]
        seconds, cpu, memory = (_number(row.get(name)) for name in ("s", "cpu_time", "max_rss"))
        if isnan(seconds):
            unreadable.append("/".join(path.relative_to(folder).parts))
        else:
            jobs.append(Job(stage, seed, seconds, cpu, memory, path.stat().st_mtime))
    return jobs, unreadable


def stage_costs(jobs: Sequence[Job]) -> list[StageCost]:
    """One entry a stage, the longest first."""
    everything = sum(job.seconds for job in jobs)
    costs = []
    for stage in {job.stage for job in jobs}:
        same = [job for job in jobs if job.stage == stage]
        seconds = [job.seconds for job in same]
        cpu = [job.cpu_seconds for job in same if not isnan(job.cpu_seconds)]
        memory = [job.memory for job in same if not isnan(job.memory)]
        share = sum(seconds) / everything if everything else nan
        costs.append(StageCost(stage, len(same), sum(seconds), max(seconds), sum(cpu) if cpu else nan, max(memory, default=nan), share))
    return sorted(costs, key=lambda cost: (-cost.seconds, cost.stage))


def _number(text: str | None) -> float:
    try:
        return float(text or nan)
    except ValueError:
        return nan
