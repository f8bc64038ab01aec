"""What jobs ask for and what a study is forecast to cost. Dry runs; the forecast of disk is held against a finished smoke study."""

from __future__ import annotations

import re
from collections import Counter
from math import inf
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, merged, snakemake

from forgetting.config.study import StudyConfig, load_study
from forgetting.pipeline.forecast import SMALL, forecast, planned, stage_of, total, wall_hours
from forgetting.pipeline.sizes import Sizes

PAPER = ("--configfile", "config/paper.yaml")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results."""
    return clone_to(tmp_path_factory.mktemp("cost") / "clone")


@pytest.fixture(scope="module")
def paper_plan(clone: Path) -> str:
    done = snakemake("-n", "all", "methods", *PAPER, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout.partition("Job stats:")[2]


def gpu_minutes(plan: str) -> list[int]:
    """What the jobs of a plan that ask for a GPU ask for in time; each job is printed once."""
    asked = [line for line in plan.splitlines() if line.startswith("    resources: ") and "gpu=1" in line]
    return [int(found[1]) for line in asked if (found := re.search(r"\bruntime=(\d+)", line))]


def with_values(overlay: str, **sections: dict[str, object]) -> StudyConfig:
    """The study of an overlay with some keys of some sections changed."""
    whole = merged(overlay)
    for section, values in sections.items():
        whole[section] |= values
    return load_study(whole)


def test_cost_counts_the_jobs_that_a_dry_run_plans(clone: Path) -> None:
    done = snakemake("-c1", "cost", *SMOKE, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    forecast_jobs = {stage.strip(): int(jobs) for stage, jobs in re.findall(r"^\| ([a-z0-9, ]+) +\| +(\d+) \|", done.stdout, re.MULTILINE)}
    counts = snakemake("-n", "all", *SMOKE, cwd=clone).stdout.partition("Job stats:")[2].partition("total")[0]
    planned_jobs: Counter[str] = Counter()
    for rule, count in re.findall(r"^(\w+) +(\d+)$", counts, re.MULTILINE):
        if rule != "all":
            planned_jobs[stage_of(rule)] += int(count)
    methods = forecast_jobs.pop("all and methods")
    assert forecast_jobs.pop("all") == sum(planned_jobs.values()) < methods
    assert forecast_jobs == planned_jobs
    assert not list((clone / "results").rglob("*.parquet")), "nothing is run"


def test_forecast_of_disk_is_right_within_a_factor_of_two(smoke_clone: Path) -> None:
    plan = snakemake("-n", "--forceall", "all", *SMOKE, cwd=smoke_clone).stdout.partition("Job stats:")[2]
    expected = total(forecast(load_study(merged("smoke.yaml")), plan)).disk
    files = {(status.st_dev, status.st_ino): status.st_size for path in (smoke_clone / "results").rglob("*") if (status := path.lstat())}
    assert 0.5 < expected / sum(files.values()) < 2


def test_paper_scale_fits_its_disk_and_partitions(paper_plan: str) -> None:
    study = load_study(merged("paper.yaml"))
    stages = {stage.name: stage for stage in forecast(study, paper_plan)}
    assert total(list(stages.values())).disk < 200e9
    model = 4 * (12 * 12 * 768**2 + 2 * 7200 * 768)  # of the tokenizer trained on the data
    # Six arms with every checkpoint: 10 up to step 50, 15 up to 200, 10 later ones and the match; three further rates.
    kept = 6 * (10 + 15 + 10 + 1) + 3 * 3
    assert stages["task1"].disk > kept * model
    # 3.93 billion tokens, six operations a matrix weight, at the assumed rate.
    assert stages["pretrain"].gpu_hours == pytest.approx(6 * 90.5e6 * 3.93e9 / study.operations_per_second / 3600, rel=0.1)
    assert all(stage.core_hours < 0.1 for stage in stages.values() if stage.name != "data")
    with_gpu = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: .*gpu=1", paper_plan, re.MULTILINE)
    assert len(set(with_gpu)) > 10 and not {stage_of(rule) for rule in with_gpu} & set(SMALL)
    assert set(with_gpu) <= {job.rule for job in planned(paper_plan)}
    assert max(gpu_minutes(paper_plan)) < 4 * 24 * 60


def plan_of(*jobs: str) -> str:
    """What a dry run prints of these jobs, each given as its rule and perhaps its arm."""
    blocks = []
    for job in jobs:
        rule, _, arm = job.partition(" ")
        blocks.append(f"rule {rule}:\n    output: file\n    wildcards: seed=0{f', arm={arm}' if arm else ''}\n")
    return "\n".join(blocks)


def test_wall_time_of_a_plan_by_hand() -> None:
    study = load_study(merged("paper.yaml"))
    chain = ("make_data", "pretrain", "task0", "task1 seq", "recovery seq")
    beside = ("task1 replay-20", "recovery_controls", "view_weights seq")
    plan, sizes = plan_of(*beside, *chain), Sizes(study)
    hours = {job: sizes.of(*job.split()).seconds / 3600 for job in (*chain, *beside)}
    in_turn = sum(hours[job] for job in chain)
    assert wall_hours(study, plan, inf) == pytest.approx(in_turn)
    assert wall_hours(study, plan, 1) == pytest.approx(sum(hours.values()))
    assert wall_hours(study, plan, 2) == pytest.approx(in_turn), "the others fit beside it"


def test_a_job_of_more_threads_than_cores_takes_as_much_longer() -> None:
    study = load_study(merged())
    pretrain = Sizes(study).of("pretrain")
    assert pretrain.threads == 4
    assert wall_hours(study, plan_of("pretrain"), 2) == pytest.approx(2 * pretrain.seconds / 3600)


def test_forecast_of_the_laptop_is_that_of_a_measured_study(clone: Path) -> None:
    plan = snakemake("-n", "all", cwd=clone).stdout.partition("Job stats:")[2]
    measured = 89 / 60  # README.md
    assert 0.5 < total(forecast(load_study(merged()), plan)).core_hours / measured < 2


def test_each_attempt_asks_for_more(clone: Path) -> None:
    size = Sizes(load_study(merged("paper.yaml"))).of("task1", "seq")
    assert size.minutes(1) * 3 == size.minutes(3) > size.minutes(2)


@pytest.mark.parametrize(
    ("rule", "section", "values", "more"),
    [
        ("pretrain", "pretrain", {"steps": 160_000}, ("seconds",)),
        ("pretrain", "model", {"layers": 24}, ("seconds", "memory", "disk")),
        ("task1", "task1", {"steps": 250_000}, ("seconds", "disk")),
        ("recovery", "recovery", {"epochs": [0.25, 0.5, 1.0, 50.0]}, ("seconds", "memory")),
        ("view_landscape", "views", {"landscape": {"grid": 81, "questions": 6000}}, ("seconds",)),
        ("view_positions", "evaluation", {"persons_per_group": 20_000}, ("seconds",)),
    ],
)
def test_sizes_follow_the_config(rule: str, section: str, values: dict[str, object], more: tuple[str, ...]) -> None:
    before, after = (Sizes(with_values("paper.yaml", **changed)).of(rule, "seq") for changed in ({}, {section: values}))
    for quantity in more:
        assert getattr(after, quantity) > getattr(before, quantity), quantity
    groups = {"task0_train": 100_000, "task0_val": 20_000, "task0_test": 80_000, "task1": 40_000, "control": 4_000}
    crowded = Sizes(with_values("paper.yaml", data={"groups": groups})).of(rule, "seq")
    assert crowded.memory > before.memory and crowded.seconds >= before.seconds


def test_no_job_asks_for_more_time_than_its_partition_allows(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    partitions = clone / "slurm/partitions.yaml"
    target = "results/paper/seed0/pretrain/metrics.parquet"
    partitions.write_text("partitions: {cpu: {max_runtime: 7d}, gpu: {max_runtime: 24h, max_gpu: 8}}\n")
    assert gpu_minutes(snakemake("-n", target, *PAPER, cwd=clone).stdout) == [1440]
    partitions.write_text("partitions: {gpu: {max_runtime: a day, max_gpu: 8}}\n")
    done = snakemake("-n", target, *PAPER, cwd=clone)
    assert done.returncode and "slurm/partitions.yaml: max_runtime" in done.stdout
