from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from forgetting.pipeline.status import duration, report

NOW = time.time()
FILES = (
    "seed0/data/card.md",
    "seed0/pretrain/metrics.parquet",
    "seed0/task1/seq/metrics.parquet",
    "seed0/task1/ewc/metrics.parquet",
    "seed0/views/seq/landscape.parquet",
    "seed0/drift/drift.parquet",
    "figures/performance.png",
)


def make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def log(root: Path, name: str, text: str, ago: float = 5) -> None:
    path = root / "logs" / f"{name}.log"
    make(path)
    path.write_text(text)
    os.utime(path, (NOW - ago, NOW - ago))


def counts(text: str, stage: str) -> list[int]:
    """Done, running, stopped and left of a stage."""
    (row,) = [line.split() for line in text.splitlines() if line.startswith(f"{stage} ")]
    return [int(number) for number in row[1:5]]


def test_before_anything_ran_everything_is_left(tmp_path: Path) -> None:
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [0, 0, 0, 2]
    assert "seq, ewc" in text, "the arms that are left are named"
    assert "unknown: no job has finished yet (data, pretrain, task1, views, drift)." in text and "about" not in text


def test_a_finished_study(tmp_path: Path) -> None:
    for file in FILES:
        make(tmp_path / file)
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [2, 0, 0, 0]
    assert "Nothing is left" in text and "running\n" not in text


def test_a_running_job_says_how_far_it_is(tmp_path: Path) -> None:
    metric, progress = "step 50  exact match  task0_test 0.512", "step 60/200  loss 4.9273  73,858 tokens/s  12 s left"
    log(tmp_path, "seed0/task1/seq", f"{metric}\n{progress}\n")
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [0, 1, 0, 1]
    assert (
        "seed0/task1/seq  step 60/200  loss 4.9273  73,858 tokens/s  12 s left  [step 50  exact match  task0_test 0.512]  (5 s ago)" in text
    )


def test_a_bar_says_how_far_it_is(tmp_path: Path) -> None:
    bar = "landscape:   0%|    | 0/41 [00:00<?, ?row/s]\rlandscape:  49%|##  | 20/41 [00:10<00:11,  1.9row/s]"
    log(tmp_path, "seed0/views/seq/landscape", bar)
    assert "landscape 20/41  00:11 left" in report(tmp_path, {"all": FILES}, NOW)


@pytest.mark.parametrize("last", ["terminated at step 60, state saved; run again to resume", "error: the loss is nan at step 3"])
def test_a_job_that_ended_early_is_stopped(tmp_path: Path, last: str) -> None:
    log(tmp_path, "seed0/task1/seq", f"step 10/200  loss 5  9 tokens/s  12 s left\n{last}\n")
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1]
    assert last in text


def test_a_silent_job_is_stopped_and_says_so(tmp_path: Path) -> None:
    log(tmp_path, "seed0/task1/seq", "step 10/200  loss 5  9 tokens/s  12 s left\n", ago=1500)
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1]
    assert "nothing for 25 min" in text


def test_a_job_with_a_saved_state_is_not_done(tmp_path: Path) -> None:
    """It was killed between its first result and its last."""
    make(tmp_path / "seed0/task1/seq/metrics.parquet")
    make(tmp_path / "seed0/scratch/task1/seq/state.pt")
    text = report(tmp_path, {"all": FILES}, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1] and "has a saved state and no log" in text
    log(tmp_path, "seed0/task1/seq", "resuming at step 60\n")
    assert counts(report(tmp_path, {"all": FILES}, NOW), "task1") == [0, 1, 0, 1]


def test_what_is_left_takes_as_long_as_what_is_done(tmp_path: Path) -> None:
    make(tmp_path / "seed0/task1/seq/metrics.parquet")
    path = tmp_path / "benchmarks/seed0/task1/seq.tsv"
    make(path)
    path.write_text("s\th:m:s\n300.5\t0:05:00\n")
    text = report(tmp_path, {"all": [file for file in FILES if "task1" in file]}, NOW)
    assert "one job after the other: about 5 min." in text
    text = report(tmp_path, {"all": FILES}, NOW)
    assert "about 5 min, and those of which none has finished yet (data, pretrain, views, drift)." in text
    make(tmp_path / FILES[3])
    assert "unknown: no job of these stages has finished yet (data, pretrain, views, drift)." in report(tmp_path, {"all": FILES}, NOW)


def test_the_second_target_is_shown_once_it_has_begun(tmp_path: Path) -> None:
    targets = {"all": FILES, "methods": (*FILES, "seed0/task1/replay-20/metrics.parquet")}
    assert counts(report(tmp_path, targets, NOW), "task1") == [0, 0, 0, 2]
    log(tmp_path, "seed0/task1/replay-20", "")
    text = report(tmp_path, targets, NOW)
    assert counts(text, "task1") == [0, 1, 0, 2] and ": all and methods" in text


def test_duration() -> None:
    assert [duration(seconds) for seconds in (45, 720, 12600)] == ["45 s", "12 min", "3.5 h"]
