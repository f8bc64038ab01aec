"""What a study would cost, before anything runs: the jobs that Snakemake plans, with the sizes that `sizing` computes for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from forgetting.config import StudyConfig
from forgetting.sizing import Size, Sizes

STAGES = {
    "data": r"make_data",
    "pretrain": r"pretrain",
    "task0": r"task0\w*",
    "task1": r"task1\w*|task_vector",
    "recovery": r"recovery\w*",
    "views": r"view_\w+",
    "figures, tables, reports": r"fig_\w+|table_\w+|\w*report",
    "the rest": r"\w+",
}
"""Stage and the names of its rules; the first that fits."""

SMALL = {
    "figures, tables, reports": Size(seconds=5, memory=500, disk=600_000),
    "the rest": Size(seconds=0.5, memory=100, disk=3_000),
}
"""Of one job of the stages that need no weights (the rest: configs, gates, the choice of arms), on any scale."""


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage. hours: of GPUs or of CPU cores. longest: wall hours of its longest job. disk: bytes that stay."""

    name: str
    jobs: int
    gpu_hours: float
    core_hours: float
    longest: float
    memory: int
    disk: float


def planned(plan: str) -> Iterator[tuple[str, str | None]]:
    """Rule and arm of every job in what `snakemake -n` prints; rules that only gather the files of others are left out."""
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", plan, re.MULTILINE):
        if re.search(r"^    output: ", block, re.MULTILINE):
            arm = re.search(r"^    wildcards: .*\barm=([^,\s]+)", block, re.MULTILINE)
            yield rule, arm[1] if arm else None


def stage_of(rule: str) -> str:
    """The stage that a rule belongs to."""
    return next(stage for stage, pattern in STAGES.items() if re.fullmatch(pattern, rule))


def forecast(study: StudyConfig, plan: str) -> list[Stage]:
    """The planned jobs by stage, in the order in which stages run."""
    sizes = Sizes(study)
    found: dict[str, list[Size]] = {stage: [] for stage in STAGES}
    for rule, arm in planned(plan):
        stage = stage_of(rule)
        found[stage].append(SMALL[stage] if stage in SMALL else sizes.of(rule, arm))
    return [_stage(name, jobs) for name, jobs in found.items() if jobs]


def _stage(name: str, jobs: list[Size]) -> Stage:
    return Stage(
        name,
        len(jobs),
        sum(job.seconds * job.gpus for job in jobs) / 3600,
        sum(job.seconds * job.threads for job in jobs if not job.gpus) / 3600,
        max(job.seconds for job in jobs) / 3600,
        max(job.memory for job in jobs),
        sum(job.disk for job in jobs),
    )


def total(stages: list[Stage]) -> Stage:
    """Of all stages; `longest` and `memory` are those of the largest job."""
    return Stage(
        "all",
        sum(stage.jobs for stage in stages),
        sum(stage.gpu_hours for stage in stages),
        sum(stage.core_hours for stage in stages),
        max(stage.longest for stage in stages),
        max(stage.memory for stage in stages),
        sum(stage.disk for stage in stages),
    )
