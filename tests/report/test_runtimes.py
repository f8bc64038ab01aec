"""Run times from benchmark files: stages and sums, against sums by hand."""

from __future__ import annotations

import os
from math import isnan
from pathlib import Path

from forgetting.report.runtimes import Job, read_jobs, stage_costs

START = 1_000_000.0


def job(stage: str, start: float, end: float, seed: str = "seed0", cpu: float = 0.0) -> Job:
    return Job(stage, seed, end - start, cpu, 100.0, START + end)


def test_files_become_stages_without_seed_and_arm(tmp_path: Path) -> None:
    paths = ["seed0/pretrain", "seed1/task1/seq", "seed1/task1/replay-0.5", "seed1/views/replay-0.5/landscape", "seed0/recovery/old-arm"]
    paths += ["seed0/recovery/controls", "seed0/task0-lamol/0.25", "figures/performance", "seed0/task1/old-arm", "seed0/recovery/probed"]
    for path in paths:
        file = tmp_path / f"{path}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("s\tmax_rss\tcpu_time\n2.5\t100\t4\n")
    jobs, unreadable = read_jobs(tmp_path, {"seq", "replay-0.5", "probed"})
    assert not unreadable
    assert {(found.seed, found.stage) for found in jobs} == {
        ("seed0", "pretrain"),
        ("seed0", "task1"),
        ("seed1", "task1"),
        ("seed1", "views/landscape"),
        ("seed0", "recovery"),
        ("seed0", "recovery/controls"),
        ("seed0", "task0-lamol/0.25"),
        ("", "figures/performance"),
    }
    assert all((found.seconds, found.memory, found.cpu_seconds) == (2.5, 100, 4) for found in jobs)
    assert {found.stage for found in jobs if not found.works} == {"figures/performance"}


def test_missing_columns_and_values_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "short.tsv").write_text("s\th:m:s\tmax_rss\n0.02\t0:00:00\tNA\n")
    (tmp_path / "untimed.tsv").write_text("max_rss\n100\n")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "repeated.tsv").write_text("s\tmax_rss\n1\t5\n2\t6\n")
    jobs, unreadable = read_jobs(tmp_path, ())
    assert [found.stage for found in jobs] == ["repeated", "short"]
    assert jobs[0].seconds == 2 and jobs[0].memory == 6
    assert isnan(jobs[1].memory) and isnan(jobs[1].cpu_seconds)
    assert unreadable == ["empty.tsv", "untimed.tsv"]


def test_costs_add_up(tmp_path: Path) -> None:
    jobs = [job("task1", 0, 30, cpu=20), job("task1", 0, 60, cpu=50), job("pretrain", 0, 10, cpu=float("nan"))]
    task1, pretrain = stage_costs(jobs)
    assert (task1.stage, task1.jobs, task1.seconds, task1.longest, task1.cpu_seconds, task1.share) == ("task1", 2, 90, 60, 70, 0.9)
    assert pretrain.stage == "pretrain" and isnan(pretrain.cpu_seconds)
    assert stage_costs([]) == []


def test_times_are_those_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "pretrain.tsv"
    file.write_text("s\n50\n")
    os.utime(file, (START, START))
    [found], _ = read_jobs(tmp_path, ())
    assert (found.started, found.ended) == (START - 50, START)
