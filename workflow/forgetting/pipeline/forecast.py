"""What a study would cost, before anything runs: its jobs, with the sizes that `sizes` computes for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from forgetting.config.study import StudyConfig
from forgetting.pipeline.jobs import PlannedJob
from forgetting.pipeline.sizes import Size, Sizes


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage. hours: of GPUs or of CPU cores. longest: wall hours of its longest job. memory: MB of its largest. disk:
    bytes that stay."""

    name: str
    jobs: int
    gpu_hours: float
    core_hours: float
    longest: float
    memory: int
    disk: float


def forecast(study: StudyConfig, jobs: Iterable[PlannedJob], everything: str = "all") -> list[Stage]:
    """The jobs by stage, in the order in which stages first occur, and then all of them together under the name `everything`."""
    sizes = Sizes(study)
    found: dict[str, list[Size]] = {}
    for job in jobs:
        found.setdefault(job.stage, []).append(sizes.of(job.rule, job.arm, job.task))
    found[everything] = [size for stage in found.values() for size in stage]
    return [_stage(name, of_stage) for name, of_stage in found.items()]


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
