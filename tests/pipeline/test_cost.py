"""What jobs ask for and what a study is forecast to cost; the forecast of disk is held against a finished smoke study."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, merged, snakemake

from forgetting.config.study import StudyConfig, load_study
from forgetting.pipeline.forecast import Stage, forecast
from forgetting.pipeline.jobs import jobs_of
from forgetting.pipeline.sizes import Sizes

PAPER = ("--configfile", "config/paper.yaml")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results."""
    return clone_to(tmp_path_factory.mktemp("cost") / "clone")


@pytest.fixture(scope="module")
def paper_plan(clone: Path) -> str:
    done = snakemake("-n", "all", *PAPER, cwd=clone)
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


def stages_of(study: StudyConfig) -> dict[str, Stage]:
    """The forecast of `all`, by stage."""
    return {stage.name: stage for stage in forecast(study, jobs_of(study, ["all"]))}


def test_cost_prints_the_forecast_and_runs_nothing(clone: Path) -> None:
    done = snakemake("-c1", "cost", *SMOKE, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    printed = {stage.strip(): int(jobs) for stage, jobs in re.findall(r"^\| ([a-z0-9, ]+) +\| +(\d+) \|", done.stdout, re.MULTILINE)}
    methods = printed.pop("all and methods")
    assert printed == {stage.name: stage.jobs for stage in stages_of(load_study(merged("smoke.yaml"))).values()}
    assert printed.pop("all") == sum(printed.values()) < methods
    assert not list((clone / "results").rglob("*.parquet"))


@pytest.mark.smoke
def test_forecast_of_disk_is_right_within_a_factor_of_two(smoke_clone: Path) -> None:
    expected = stages_of(load_study(merged("smoke.yaml")))["all"].disk
    files = {(status.st_dev, status.st_ino): status.st_size for path in (smoke_clone / "results").rglob("*") if (status := path.lstat())}
    assert 0.5 < expected / sum(files.values()) < 2


def test_paper_scale_fits_its_disk_and_partitions(paper_plan: str) -> None:
    study = load_study(merged("paper.yaml"))
    stages = stages_of(study)
    assert stages["all"].disk < 200e9
    model = 4 * (12 * 12 * 768**2 + 2 * 7200 * 768)  # of the tokenizer trained on the data
    # Six arms with every checkpoint: 10 up to step 50, 15 up to 200, 10 later ones and the match; three further rates.
    kept = 6 * (10 + 15 + 10 + 1) + 3 * 3
    assert stages["task1"].disk > kept * model
    # 3.93 billion tokens, six operations a matrix weight, at the assumed rate.
    assert stages["pretrain"].gpu_hours == pytest.approx(6 * 90.5e6 * 3.93e9 / study.operations_per_second / 3600, rel=0.1)
    assert all(stage.core_hours < 0.1 for name, stage in stages.items() if name not in ("data", "all"))
    with_gpu = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: .*gpu=1", paper_plan, re.MULTILINE)
    assert len(set(with_gpu)) > 10 and not [rule for rule in with_gpu if rule.startswith(("fig_", "table_"))]
    assert max(gpu_minutes(paper_plan)) < 4 * 24 * 60


def test_forecast_of_the_laptop_is_that_of_a_measured_study() -> None:
    measured = 89 / 60  # README.md
    assert 0.5 < stages_of(load_study(merged()))["all"].core_hours / measured < 2


def test_each_attempt_asks_for_more() -> None:
    size = Sizes(load_study(merged("paper.yaml"))).of("finetune", "seq")
    assert size.minutes(1) * 3 == size.minutes(3) > size.minutes(2)


@pytest.mark.parametrize(
    ("rule", "section", "values", "more"),
    [
        ("pretrain", "pretrain", {"steps": 160_000}, ("seconds",)),
        ("pretrain", "model", {"layers": 24}, ("seconds", "memory", "disk")),
        ("finetune", "task1", {"steps": 250_000}, ("seconds", "disk")),
        ("recovery", "recovery", {"epochs": [0.25, 0.5, 1.0, 50.0]}, ("seconds", "memory")),
        ("view_landscape", "views", {"landscape": {"axes": "orthogonal", "grid": 81, "margin": 0.3, "questions": 6000}}, ("seconds",)),
        ("view_positions", "evaluation", {"units_per_split": 20_000}, ("seconds",)),
    ],
)
def test_sizes_follow_the_config(rule: str, section: str, values: dict[str, object], more: tuple[str, ...]) -> None:
    before, after = (Sizes(with_values("paper.yaml", **changed)).of(rule, "seq") for changed in ({}, {section: values}))
    for quantity in more:
        assert getattr(after, quantity) > getattr(before, quantity), quantity
    groups = {"task0_train": 100_000, "task0_val": 20_000, "task0_test": 80_000, "task1": 40_000, "control": 4_000, "probe": 64}
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
