"""The jobs of a study that compute something, from its config alone: what `cost` adds up and the script `status` looks for.

Figures, tables, gates and configs take seconds and are left out. tests/pipeline/test_jobs.py holds the list against Snakemake's plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from forgetting.config.fields import Target
from forgetting.config.plan import ALONE, VIEWS
from forgetting.config.study import StudyConfig

EXPERIMENTS: tuple[Target, ...] = ("factors", "axes")
"""Targets with arms of their own, listed under the same key of the config; most studies have none."""


class PlannedJob(NamedTuple):
    """One job: the rule that `sizes` knows it by, a file that it makes (below the folder of the scale), and its arm and task, where it has
    one."""

    rule: str
    made: str
    arm: str | None = None
    task: str | None = None

    @property
    def stage(self) -> str:
        """The folder of its results below that of the seed."""
        return self.made.split("/")[1]


def jobs_of(study: StudyConfig, targets: Iterable[Target]) -> list[PlannedJob]:
    """Every job of all seeds behind these targets of the workflow, each once. Those of `architectures` belong to studies of their own
    (`pipeline/architectures.py`)."""
    wanted = [target for target in targets if target != "architectures"]
    return list(dict.fromkeys(job for seed in study.seeds for target in wanted for job in _of_seed(study, target, f"seed{seed}")))


def _of_seed(study: StudyConfig, target: Target, seed: str) -> Iterator[PlannedJob]:
    yield PlannedJob("make_data", f"{seed}/data/card.md")
    yield PlannedJob("pretrain", f"{seed}/pretrain/metrics.parquet")
    yield PlannedJob("task0", f"{seed}/task0/metrics.parquet")
    yield from _of_sequence(study, seed) if target == "sequence" else _of_task1(study, target, seed)


def _lamol(study: StudyConfig, arms: Iterable[str], seed: str) -> Iterator[PlannedJob]:
    """Task 0 of the arms that need one of their own."""
    for weight in dict.fromkeys(study.methods[arm].task0_language_loss for arm in arms):
        if weight is not None:
            yield PlannedJob("task0_lamol", f"{seed}/task0-lamol/{weight:g}/metrics.parquet")


def _of_sequence(study: StudyConfig, seed: str) -> Iterator[PlannedJob]:
    yield from _lamol(study, study.arms, seed)
    alone = product(study.later_tasks, [ALONE])
    for task, arm in [*product(study.tasks, study.arms), *alone]:
        yield PlannedJob("finetune", f"{seed}/{task}/{arm}/metrics.parquet", arm, task)
    for task, arm in product(study.tasks, study.arms):
        yield PlannedJob("sequence_recovery", f"{seed}/sequence/{task}/{arm}/metrics.parquet", arm, task)
    yield PlannedJob("sequence_controls", f"{seed}/sequence/controls/metrics.parquet")


def _of_task1(study: StudyConfig, target: Target, seed: str) -> Iterator[PlannedJob]:
    main = ["seq", *study.views.arms]
    if target == "all":
        recovered = [*main, *study.learning_rate_arms, *(arm for arm in study.arms if arm in study.recovery.arms)]
        trained = [*study.arms, *recovered]
        viewed = {view: study.views.arms for view in VIEWS} | {"positions": main, "theory": main}
    elif target in EXPERIMENTS:
        trained = recovered = ["seq", *getattr(study, target)]
        viewed = {}
    else:
        recovered = ["seq", *study.compared_arms]
        frozen = [arm for arm in study.compared_arms if study.methods[arm].method == "freeze" and study.methods[arm].start == "task0"]
        viewed = {"weights": ["seq"], "theory": [*main, *frozen]}
        trained = [*main, *recovered]
    arms = list(dict.fromkeys(trained))
    yield from _lamol(study, arms, seed)
    for arm in arms:
        rule = "task_vector" if arm in study.task_vector_arms else "finetune"
        yield PlannedJob(rule, f"{seed}/task1/{arm}/metrics.parquet", arm, "task1")
    for arm in dict.fromkeys(recovered):
        yield PlannedJob("recovery", f"{seed}/recovery/{arm}/metrics.parquet", arm)
    yield PlannedJob("recovery_controls", f"{seed}/recovery/controls/metrics.parquet")
    for view, of_arms in viewed.items():
        for arm in dict.fromkeys(of_arms):
            yield PlannedJob(f"view_{view}", f"{seed}/views/{arm}/{view}.parquet", arm)
    if target == "methods":
        yield PlannedJob("view_fisher", f"{seed}/fisher/fisher.parquet")
        yield PlannedJob("view_drift", f"{seed}/drift/drift.parquet")
