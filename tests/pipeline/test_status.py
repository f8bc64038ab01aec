from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from tests.study import merged

from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.pipeline.jobs import jobs_of
from forgetting.pipeline.status import duration, minute_line, report, running_line

NOW = time.time()
SMOKE = merged("smoke.yaml")
SMOKE["views"]["arms"] = ["seq"]
STUDY = load_study(SMOKE | {"arms": ["seq", "ewc-1e0"], "learning_rate_arms": []})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Results of a study of two arms that has written its config alone."""
    (tmp_path / "config.json").write_text(STUDY.model_dump_json())
    return tmp_path


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


def test_before_anything_ran_everything_is_left(root: Path) -> None:
    text = report(root, NOW)
    assert counts(text, "task1") == [0, 0, 0, 2]
    assert "seq, ewc-1e0" in text, "the arms that are left are named"
    assert "unknown: no job has finished yet (data, pretrain, task0, task1, recovery, views)." in text
    assert "about" not in text


def test_a_finished_study(root: Path) -> None:
    for made in [*(job.made for job in jobs_of(STUDY, ["all"])), "report.html"]:
        make(root / made)
    text = report(root, NOW)
    assert counts(text, "task1") == [2, 0, 0, 0]
    assert "Nothing is left" in text and "running\n" not in text


def test_a_running_job_says_how_far_it_is(root: Path) -> None:
    metric, progress = "step 50  exact match  task0_test 0.512", "step 60/200  loss 4.9273  73,858 tokens/s  12 s left"
    log(root, "seed0/task1/seq", f"{metric}\n{progress}\n")
    text = report(root, NOW)
    assert counts(text, "task1") == [0, 1, 0, 1]
    assert (
        "seed0/task1/seq  step 60/200  loss 4.9273  73,858 tokens/s  12 s left  [step 50  exact match  task0_test 0.512]  (5 s ago)" in text
    )


def test_a_bar_says_how_far_it_is(root: Path) -> None:
    bar = "landscape:   0%|    | 0/41 [00:00<?, ?row/s]\rlandscape:  49%|##  | 20/41 [00:10<00:11,  1.9row/s]"
    log(root, "seed0/views/seq/landscape", bar)
    assert "landscape 20/41  00:11 left" in report(root, NOW)


@pytest.mark.parametrize("last", ["terminated at step 60, state saved; run again to resume", "error: the loss is nan at step 3"])
def test_a_job_that_ended_early_is_stopped(root: Path, last: str) -> None:
    log(root, "seed0/task1/seq", f"step 10/200  loss 5  9 tokens/s  12 s left\n{last}\n")
    text = report(root, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1]
    assert last in text


def test_a_silent_job_is_stopped_and_says_so(root: Path) -> None:
    log(root, "seed0/task1/seq", "step 10/200  loss 5  9 tokens/s  12 s left\n", ago=1500)
    text = report(root, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1]
    assert "nothing for 25 min" in text


def test_a_job_with_a_saved_state_is_not_done(root: Path) -> None:
    """It was killed between its first result and its last."""
    make(root / "seed0/task1/seq/metrics.parquet")
    make(root / "seed0/scratch/task1/seq/state.pt")
    text = report(root, NOW)
    assert counts(text, "task1") == [0, 0, 1, 1] and "has a saved state and no log" in text
    log(root, "seed0/task1/seq", "resuming at step 60\n")
    assert counts(report(root, NOW), "task1") == [0, 1, 0, 1]


def test_what_is_left_takes_as_long_as_what_is_done(root: Path) -> None:
    jobs = jobs_of(STUDY, ["all"])
    for job in jobs:
        if job.made != "seed0/task1/ewc-1e0/metrics.parquet":
            make(root / job.made)
    assert "unknown: no job has finished yet (task1)." in report(root, NOW)
    path = root / "benchmarks/seed0/task1/seq.tsv"
    make(path)
    path.write_text("s\th:m:s\n300.5\t0:05:00\n")
    assert "one job after the other: about 5 min." in report(root, NOW)
    (root / "seed0/pretrain/metrics.parquet").unlink()
    assert "about 5 min, and those of which none has finished yet (pretrain)." in report(root, NOW)
    make(root / "seed0/task1/ewc-1e0/metrics.parquet")
    assert "unknown: no job of these stages has finished yet (pretrain)." in report(root, NOW)


def test_methods_are_shown_once_they_have_begun(root: Path) -> None:
    assert counts(report(root, NOW), "task1") == [0, 0, 0, 2]
    log(root, "seed0/task1/replay-20", "")
    text = report(root, NOW)
    arms = len({"ewc-1e0", *STUDY.compared_arms, *STUDY.views.arms})
    assert counts(text, "task1") == [0, 1, 0, arms - 1] and ": all and methods" in text


def test_without_a_config_there_is_nothing_to_look_for(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"config\.json is missing.* --nolock"):
        report(tmp_path, NOW)


def test_a_config_of_another_version_is_named(root: Path) -> None:
    (root / "config.json").write_text("{}")
    with pytest.raises(StudyError, match=r"config\.json was not written by this version of the code: bad config:\n  scale: Field required"):
        report(root, NOW)


def test_duration() -> None:
    assert [duration(seconds) for seconds in (45, 720, 12600)] == ["45 s", "12 min", "3.5 h"]


def test_a_line_a_minute_says_how_far_it_is_what_runs_and_when_it_may_end(root: Path, tmp_path: Path) -> None:
    assert minute_line(tmp_path / "nothing", ["all"], NOW, 2, bar=False) == ""
    jobs = [job.made for job in jobs_of(STUDY, ("all",))]
    log(root, "seed0/pretrain", "step 30/60  loss 2.0  9,000 tokens/s  120 s left\n")
    said = minute_line(root, ["all"], NOW, 2, bar=True)
    assert said.startswith(f"[{' ' * 20}] 0 of {len(jobs) + 1} jobs done; running: seed0/pretrain (step 30/60); at least 60 s left, until ")
    for made in jobs:
        make(root / made)
    (root / "logs/seed0/pretrain.log").unlink()
    assert minute_line(root, ["all"], NOW, 2, bar=False) == f"{len(jobs)} of {len(jobs) + 1} jobs done"


def test_what_is_no_study_tells_what_runs_by_the_last_line_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "probe.log").write_text("after, right-25-3-1: old_test exact 0.960  22 s\rafter, dose-1: old_test exact 0.787  23 s\n\n")
    running = [("diagnosis_probe start=after", tmp_path / "probe.log"), ("diagnosis_page", tmp_path / "none.log")]
    assert running_line(running) == "running: diagnosis_probe start=after (after, dose-1: old_test exact 0.787  23 s); diagnosis_page"
    assert running_line([]) == ""
    (tmp_path / "config.json").write_text(json.dumps({"stage": "diagnosis", "diagnosis": {}}))
    with pytest.raises(StudyError, match="no study but of a given model"):
        report(tmp_path, NOW)


def test_a_run_of_one_target_counts_no_jobs_of_others(root: Path) -> None:
    jobs = list(dict.fromkeys(job.made for job in jobs_of(STUDY, ("methods",))))
    log(root, "seed0/views/seq/landscape", "")  # a job of `all` alone
    assert minute_line(root, ["methods"], NOW, 2, bar=False).startswith(f"0 of {len(jobs) + 1} jobs done")
    both = {*jobs, *(job.made for job in jobs_of(STUDY, ("all",)))}
    assert minute_line(root, ["all", "methods"], NOW, 2, bar=False).startswith(f"0 of {len(both) + 2} jobs done")
