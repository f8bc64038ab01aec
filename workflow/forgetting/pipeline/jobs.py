"""The jobs of a study that compute something, from its config alone: what `cost` adds up and the script `status` looks for.

Figures, tables, gates and configs take seconds and are left out. tests/pipeline/test_jobs.py holds the list against Snakemake's plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from forgetting.config.plan import VIEWS
from forgetting.config.study import StudyConfig

Target = Literal["all", "methods", "factors", "axes"]
EXPERIMENTS: tuple[Target, ...] = ("factors", "axes")
"""Targets with arms of their own, listed under the same key of the config; most studies have none."""


class PlannedJob(NamedTuple):
    """One job: the rule that `sizes` knows it by, a file that it makes (below the folder of the scale), and its arm, where it has one."""

    rule: str
    made: str
    arm: str | None = None

    @property
    def stage(self) -> str:
        """The folder of its results below that of the seed."""
        return self.made.split("/")[1]


def jobs_of(study: StudyConfig, targets: Iterable[Target]) -> list[PlannedJob]:
    """Every job of all seeds behind these targets of the workflow, each once."""
    wanted = tuple(targets)
    return list(dict.fromkeys(job for seed in study.seeds for target in wanted for job in _of_seed(study, target, f"seed{seed}")))


def _of_seed(study: StudyConfig, target: Target, seed: str) -> Iterator[PlannedJob]:
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
    arms = {arm: study.methods[arm] for arm in trained}
    yield PlannedJob("make_data", f"{seed}/data/card.md")
    yield PlannedJob("pretrain", f"{seed}/pretrain/metrics.parquet")
    yield PlannedJob("task0", f"{seed}/task0/metrics.parquet")
    for weight in dict.fromkeys(method.task0_language_loss for method in arms.values()):
        if weight is not None:
            yield PlannedJob("task0_lamol", f"{seed}/task0-lamol/{weight:g}/metrics.parquet")
    for arm in arms:
        yield PlannedJob("task_vector" if arm in study.task_vector_arms else "task1", f"{seed}/task1/{arm}/metrics.parquet", arm)
    for arm in dict.fromkeys(recovered):
        yield PlannedJob("recovery", f"{seed}/recovery/{arm}/metrics.parquet", arm)
    yield PlannedJob("recovery_controls", f"{seed}/recovery/controls/metrics.parquet")
    for view, of_arms in viewed.items():
        for arm in dict.fromkeys(of_arms):
            yield PlannedJob(f"view_{view}", f"{seed}/views/{arm}/{view}.parquet", arm)
    if target == "methods":
        yield PlannedJob("view_fisher", f"{seed}/fisher/fisher.parquet")
        yield PlannedJob("view_drift", f"{seed}/drift/drift.parquet")
