"""The jobs that the config tells, against those that Snakemake plans."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from tests.study import merged, snakemake

from forgetting.config.study import load_study
from forgetting.pipeline.jobs import PlannedJob, Target, jobs_of

OUTPUTS = re.compile(r"^    output: (.+)$", re.M)


def planned_outputs(plan: str) -> set[str]:
    return {file for line in OUTPUTS.findall(plan) for file in line.split(", ")}


@pytest.mark.long
@pytest.mark.parametrize(
    ("overlay", "target"), [("smoke", "all"), ("smoke", "methods"), ("replicates", "all"), ("factors", "factors"), ("axes", "axes")]
)
def test_jobs_are_those_of_the_plan(overlay: str, target: Target) -> None:
    plan = snakemake("-n", "--forceall", target, "--configfile", f"config/{overlay}.yaml").stdout
    study = load_study(merged(f"{overlay}.yaml"))
    root, outputs = f"results/{study.scale}/", planned_outputs(plan)
    jobs = jobs_of(study, [target])
    assert {root + job.made for job in jobs} <= outputs
    # As many jobs of every kind, with the several rules of Task 1 and recovery as one.
    computing = re.compile(r"^(make_data|pretrain|task0|task0_lamol|finetune|task_vector|recovery|recovery_controls|view_\w+) +(\d+)$")
    counts: Counter[str] = Counter()
    for line in plan.partition("Job stats:")[2].partition("\ntotal")[0].splitlines():
        rule, _, count = line.partition(" ")
        rule = re.sub(r"^(finetune|recovery)_(?!controls).*", r"\1", rule)
        if computing.match(f"{rule} {count.strip()}"):
            counts[rule] += int(count)
    assert Counter(job.rule for job in jobs) == counts


def test_the_stage_is_the_folder_of_the_results() -> None:
    assert PlannedJob("task0_lamol", "seed0/task0-lamol/0.25/metrics.parquet").stage == "task0-lamol"
