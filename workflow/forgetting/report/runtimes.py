"""Run time and memory of the jobs of a study, from Snakemake's benchmark files, and how much of the time was overhead."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, nan
from pathlib import Path

import numpy as np

OTHER_STAGES = ("data", "gates", "comparison", "figures", "tables")
"""First part of the stages that neither train nor evaluate nor compute a view."""
PAUSE = 60.0
"""Seconds without any job after which the time until the next one counts as a pause between two calls, not as waiting."""
_ORDER = ("data", "pretrain", "task0")
"""Stages of a seed that wait for one another; what their files say about times must agree with that."""
_TOLERANCE = 2.0
"""Seconds by which they may overlap: a benchmark file is written a moment after its job has ended."""


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


@dataclass(frozen=True)
class Overhead:
    """Seconds of the clock from the first start to the last end, pauses left out.

    In `others` only data, gates, figures or tables ran, in `waiting` nothing. `start_up` is an upper bound on the share of the seconds of
    the `jobs` that train, evaluate or compute a view that goes into starting them; it is taken from the `shortest` of them.
    """

    span: float
    others: float
    waiting: float
    pauses: int
    jobs: int
    shortest: float
    start_up: float

    @property
    def outside(self) -> float:
        """Share of the time in which no job trained, evaluated or computed a view."""
        return (self.others + self.waiting) / self.span

    @property
    def bound(self) -> float:
        """Upper bound on the same, start-up counted as outside."""
        return self.outside + (1 - self.outside) * self.start_up


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


def overhead(jobs: Sequence[Job], cores: int) -> Overhead | None:
    """How the time of the clock divides, on a machine of so many cores.

    None when no job works, or when the times of the files are not those at which jobs ended on this machine: after a copy or a touch,
    or on a cluster, a job begins before the one ended that it waited for, or there is more processor time than the cores can have given.
    """
    work = [job for job in jobs if job.works]
    if not work or not _in_order(jobs):
        return None
    edges = np.unique([time for job in jobs for time in (job.started, job.ended)])
    lengths, middles = np.diff(edges), (edges[:-1] + edges[1:]) / 2
    working, running = _covered(middles, work), _covered(middles, jobs)
    pause = ~running & (lengths > PAUSE)
    span = float(lengths[~pause].sum())
    if sum(job.cpu_seconds for job in jobs if not isnan(job.cpu_seconds)) > cores * span:
        return None
    shortest = min(job.seconds for job in work)
    return Overhead(
        span=span,
        others=float(lengths[running & ~working].sum()),
        waiting=float(lengths[~running & ~pause].sum()),
        pauses=int(pause.sum()),
        jobs=len(work),
        shortest=shortest,
        start_up=len(work) * shortest / sum(job.seconds for job in work),
    )


def _covered(times: np.ndarray, jobs: Sequence[Job]) -> np.ndarray:
    """Whether any of the jobs ran at each of the times."""
    starts, ends = (np.array([getattr(job, name) for job in jobs]) for name in ("started", "ended"))
    return np.any((starts[:, None] <= times) & (times <= ends[:, None]), axis=0)


def _in_order(jobs: Sequence[Job]) -> bool:
    found = {(job.seed, job.stage): job for job in jobs if job.stage in _ORDER}
    pairs = [((seed, before), (seed, after)) for seed, _ in found for before, after in pairwise(_ORDER)]
    return all(found[a].ended <= found[b].started + _TOLERANCE for a, b in pairs if a in found and b in found)


def _number(text: str | None) -> float:
    try:
        return float(text or nan)
    except ValueError:
        return nan
