"""What a study would cost, before anything runs: the jobs that Snakemake plans, with the sizes that `sizing` computes for them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from forgetting.config.study import StudyConfig
from forgetting.pipeline.schedule import Task, wall_seconds
from forgetting.pipeline.sizes import Size, Sizes

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


class Planned(NamedTuple):
    """A job of a plan; seed and arm are None where it has none."""

    rule: str
    arm: str | None
    seed: str | None


def planned(plan: str) -> Iterator[Planned]:
    """Every job in what `snakemake -n` prints; rules that only gather the files of others are left out."""
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", plan, re.MULTILINE):
        if re.search(r"^    output: ", block, re.MULTILINE):
            found = {name: re.search(rf"^    wildcards: .*\b{name}=([^,\s]+)", block, re.MULTILINE) for name in ("arm", "seed")}
            yield Planned(rule, *(match[1] if match else None for match in found.values()))


def stage_of(rule: str) -> str:
    """The stage that a rule belongs to."""
    return next(stage for stage, pattern in STAGES.items() if re.fullmatch(pattern, rule))


def forecast(study: StudyConfig, plan: str) -> list[Stage]:
    """The planned jobs by stage, in the order in which stages run."""
    sizes = Sizes(study)
    found: dict[str, list[Size]] = {stage: [] for stage in STAGES}
    for job in planned(plan):
        found[stage_of(job.rule)].append(_size(sizes, job))
    return [_stage(name, jobs) for name, jobs in found.items() if jobs]


def wall_hours(study: StudyConfig, plan: str, units: float) -> float:
    """Hours of the planned jobs on so many GPUs, or CPU cores where the study uses no GPU, when each starts as soon as it can. A job that
    would hold more takes as much longer; jobs that need no GPU wait for none."""
    sizes = Sizes(study)
    tasks = []
    for number, job in enumerate(planned(plan)):
        size = _size(sizes, job)
        wanted = size.gpus if study.gpus_per_job else size.threads
        held = min(wanted, units)
        name, needs = _place(study, job)
        tasks.append(Task(name or number, size.seconds * (wanted / held if held else 1), int(held), needs))
    return wall_seconds(tasks, units) / 3600


def _size(sizes: Sizes, job: Planned) -> Size:
    return SMALL.get(stage_of(job.rule)) or sizes.of(job.rule, job.arm)


def _place(study: StudyConfig, job: Planned) -> tuple[Hashable, Hashable]:
    """The name of a job that others wait for, None for the others, and the job that it waits for itself: the last of them to end."""
    stage = stage_of(job.rule)
    if stage in ("data", "pretrain"):
        return (job.seed, stage), (job.seed, "data") if stage == "pretrain" else None
    if stage == "task0":
        return (job.seed, job.rule), (job.seed, "pretrain")
    if job.arm is None or stage in SMALL:
        return None, (job.seed, "pretrain")  # the controls of recovery; jobs of a moment
    if stage != "task1":
        return None, (job.seed, job.arm)
    arm = study.methods[job.arm]
    before = {"task_vector": "seq", "lamol": "task0_lamol"}.get(arm.method, "task0" if arm.start == "task0" else "pretrain")
    return (job.seed, job.arm), (job.seed, before)


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
