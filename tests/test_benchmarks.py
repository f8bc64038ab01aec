"""What measures on a GPU, without one: a row or a step that fails or hangs keeps no other back, and what comes back is small enough. And
what the accounts of a study add up to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.pipeline.jobs import jobs_of
from tests.study import ROOT, merged


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def speed_table(benchmarks: None):
    import speed_table

    return speed_table


def script(tmp_path: Path, text: str) -> str:
    """A script in place of one of benchmarks/, as a row names it; its last argument is the file to answer into."""
    path = tmp_path / "measures.py"
    path.write_text(f"import json, pathlib, subprocess, sys, time\nanswer = pathlib.Path(sys.argv[-1])\n{text}\n")
    return os.path.relpath(path, ROOT / "benchmarks")


def row_of(speed_table, tmp_path: Path, text: str, limit: float = 60) -> dict:
    check = replace(speed_table.CHECKS[0], script=script(tmp_path, text), quick=[])
    return speed_table.run(check, True, limit, tmp_path)


def test_a_row_that_fails_says_why(speed_table, tmp_path: Path) -> None:
    row = row_of(speed_table, tmp_path, "raise SystemExit('error: no such | thing')")
    assert row["failed"] == "error: no such / thing" and row["name"] == "pretraining"
    assert len(speed_table.line(row)) == len(speed_table.COLUMNS)
    assert "failed: error" in speed_table.line(row)[2]


@pytest.mark.parametrize(("ending", "said"), [("time.sleep(300)", "stopped after 5 s"), ("sys.exit('no memory')", "no memory")])
def test_a_row_that_breaks_off_keeps_what_it_had_and_leaves_no_process(speed_table, tmp_path: Path, ending: str, said: str) -> None:
    text = f"""
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
(answer.parent / "child").write_text(str(child.pid))
answer.write_text(json.dumps({{"measured": "7 steps/s", "baseline": "", "ratio": None, "check": ""}}))
{ending}
"""
    row = row_of(speed_table, tmp_path, text, limit=5)
    assert (row["measured"], row["failed"]) == ("7 steps/s", said)
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int((tmp_path / "child").read_text()), 0)
            time.sleep(0.05)


def test_what_the_profile_says_of_overlapping_kernels_and_gaps(benchmarks: None) -> None:
    """By hand: 0-10 and 5-20 run, nothing until 30, then 30-40: 10 of 40 microseconds idle, in two steps."""
    from traced import IDLE, rows_of

    rows = rows_of([("add", 30.0, 40.0), ("mul", 0.0, 10.0), ("add", 5.0, 20.0)], steps=2)
    assert [row["kernel"] for row in rows] == [IDLE, "add", "mul"]
    assert [row["calls_per_step"] for row in rows] == [0.5, 1.0, 0.5]
    assert [row["share"] for row in rows] == pytest.approx([10 / 40, 25 / 40, 10 / 40])
    assert rows[0]["ms_per_step"] == pytest.approx(0.005)
    assert rows_of([], steps=2) == []


def test_jobs_that_share_a_device_wait_for_each_other(benchmarks: None, tmp_path: Path) -> None:
    from together import ALONE, Meeting

    ALONE.wait()
    waiting = threading.Thread(target=Meeting(2, tmp_path).wait)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    (tmp_path / "another").touch()
    waiting.join(10)
    assert not waiting.is_alive()


def test_archives_hold_what_tells_most_and_no_weights(benchmarks: None, tmp_path: Path) -> None:
    from pack import pack

    study = tmp_path / "results/tiny"
    sizes = {"gates/seed0-task0.json": 10, "seed0/task1/seq/facts.parquet": 300_000, "seed0/task1/seq/model.safetensors": 10}
    sizes |= {"tables/gates.csv": 10, "logs/a.log": 10, "seed0/task0/facts.parquet": 300_000, "seed0/data/facts.parquet": 700_000}
    for name, size in sizes.items():
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_bytes(os.urandom(size))
    left = pack(study, tmp_path, archives=2, limit=500_000)
    assert [path.relative_to(study).as_posix() for path in left] == ["seed0/data/facts.parquet"]
    archives = sorted(tmp_path.glob("study-*.tar.gz"))
    assert len(archives) == 2 and all(path.stat().st_size <= 500_000 for path in archives)
    names = []
    for path in archives:
        with tarfile.open(path) as opened:
            names.append(opened.getnames())
    assert names[0][:2] == ["tiny/gates/seed0-task0.json", "tiny/tables/gates.csv"]
    assert not any("safetensors" in name for each in names for name in each)


STUB = """#!/usr/bin/env bash
case "$*" in
*--machine*) echo '{"device": "none"}' ;;
*"-m pytest"*) echo "a test broke"; exit 1 ;;
*--only-data*) exit 0 ;;
*"--only pretraining"*) sleep 300 ;;
*--rows*) echo "{}" >"$(sed 's/.*--rows \\([^ ]*\\).*/\\1/' <<<"$*")" ;;
*fig_performance*) sleep 300 ;;
*) echo "$*" ;;
esac
"""
"""In place of Python: tests fail, a row and the figures hang, and all else works."""


def gpu_run(name: str, output: Path, *arguments: str, seconds: int) -> str:
    """What run.log says of one of the two scripts, with STUB for Python."""
    stub = output.parent / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = os.environ | {"PYTHON": str(stub), "SECONDS_IN_ALL": str(seconds)}
    command = ["bash", str(ROOT / "benchmarks" / name), str(output), *arguments]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return (output / "run.log").read_text()


def test_the_first_run_goes_on_after_tests_that_fail(tmp_path: Path) -> None:
    said = gpu_run("gpu_first.sh", tmp_path / "out", "--quick", seconds=60)
    assert "tests: failed with code 1: a test broke" in said
    assert "prepare: done" in said and "rows: done" in said and said.rstrip().endswith("the end")
    assert (tmp_path / "out/rows.jsonl").exists() and "a test broke" in (tmp_path / "out/tests.log").read_text()


@pytest.mark.long
def test_the_second_run_stops_what_hangs_and_packs(tmp_path: Path) -> None:
    """The row hangs until its limit, which the time in all cuts short; then nothing else is begun but packing."""
    said = gpu_run("gpu_second.sh", tmp_path / "out", "pretraining", seconds=6)
    assert "rows: stopped by its limit" in said
    assert "study: not begun, the time is up" in said
    assert "pack: done" in said and said.rstrip().endswith("the end")


@pytest.mark.long
def test_the_second_run_makes_the_rest_of_the_study_after_what_tells_most(tmp_path: Path) -> None:
    said = gpu_run("gpu_second.sh", tmp_path / "out", seconds=9)
    assert said.count("study: begun") >= 1 and "study: stopped by its limit" in said and "pack: done" in said
    assert len(list((tmp_path / "out").iterdir())) <= 8, "as many files as come back"


ROW = {"target": "", "what": "", "check": "", "ratio": None, "baseline": "", "measured": "", "failed": "", "quick": False, "machine": {}}


def write_rows(folder: Path, *rows: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(ROW | row) + "\n" for row in rows))
    return folder


@pytest.fixture
def gpu_results(benchmarks: None):
    import gpu_results

    return gpu_results


def test_the_page_is_what_its_tables_give(gpu_results) -> None:
    """Of the repository itself. Render it again with benchmarks/gpu_results.py render."""
    assert gpu_results.page(ROOT) == (ROOT / gpu_results.PAGE).read_text()


def test_rows_measured_again_take_the_place_of_those_before(gpu_results, speed_table, tmp_path: Path) -> None:
    kernel = {"kernel": "gemm", "calls_per_step": 3.0, "ms_per_step": 1.5, "share": 0.75}
    here = {"device": "NVIDIA H100 80GB HBM3", "driver": "580.1", "torch": "2.11.0", "transformers": "5.17.0"}
    first = write_rows(
        tmp_path / "first",
        {"name": "pretraining", "measured": "9 steps/s", "baseline": "Trainer: 4 steps/s", "ratio": 2.25, "machine": here},
        {"name": "fine-tuning", "measured": "70 steps/s", "machine": here, "stage": "task1", "profile": [kernel]},
        {"name": "views", "measured": "3 s", "quick": True},
    )
    second = write_rows(
        tmp_path / "second",
        {"name": "pretraining", "failed": "stopped after 5 s", "machine": here},
        {"name": "fine-tuning", "measured": "90 steps/s", "machine": here, "stage": "task1", "profile": [kernel]},
    )
    gates = tmp_path / "gpu-small/tables/gates.csv"
    gates.parent.mkdir(parents=True)
    gates.write_text("gate,seed,value,threshold,passed\ntask0_before,0,0.91234567,0.95,False\n")
    with tarfile.open(second / "study-1.tar.gz", "w:gz") as archive:
        archive.add(gates, "gpu-small/tables/gates.csv")
    assert len(gpu_results.page(tmp_path).split("not measured |")) == len(speed_table.CHECKS) + 1
    gpu_results.take(tmp_path, [first, second])
    page = gpu_results.page(tmp_path)
    assert "| 9 steps/s | Trainer: 4 steps/s | 2.2 |" in page and "| 90 steps/s |" in page and "70 steps/s" not in page
    assert len(page.split("not measured |")) == len(speed_table.CHECKS) - 1
    assert "Measured on NVIDIA H100 80GB HBM3 (driver 580.1, torch 2.11.0, transformers 5.17.0), commit " in page
    assert page.count("| `gemm` | 3 | 1.500 | 0.750 |") == 1
    assert "| task0 before | 0 | 0.912 | 0.95 | False |" in page


def test_the_speed_of_forecasts_follows_from_two_kinds_of_steps(gpu_results) -> None:
    """Made with 2e14 operations a second and 3 ms a step beside them."""
    import pandas as pd

    rows = []
    for name, needed in (("pretraining", 4e13), ("fine-tuning", 5e11)):
        steps = 1 / (needed / 2e14 + 0.003)
        rows.append({"name": name, "steps": steps, "operations": needed * steps})
    speed = pd.DataFrame(rows).reindex(columns=gpu_results.SPEED)
    found = gpu_results.calibrated(speed)
    assert found.operations_per_second == pytest.approx(2e14) and found.step_seconds == pytest.approx(0.003)
    said = gpu_results.cost(speed)
    assert "`operations_per_second: 2.0e+14`" in said and "0.0030 s a step" in said
    assert gpu_results.calibrated(speed[:1]) is None


@pytest.mark.slow
def test_every_row_works_at_tiny_sizes(speed_table, tmp_path: Path) -> None:
    """Minutes on a busy machine. On a GPU, too, if there is one."""
    rows = tmp_path / "rows.jsonl"
    command = [sys.executable, "benchmarks/speed_table.py", "--quick", "--rows", str(rows), "--limit", "1200", "--seconds", "5000"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["name"] for row in found] == [check.name for check in speed_table.CHECKS]
    assert not any(row["failed"] for row in found)
    assert all(row["profile"] for row in found[:2]) and all(row["ratio"] for row in found[:3])


def test_made_up_diagnoses_are_what_the_table_calls_them(benchmarks: None) -> None:
    import diagnosis_power as power

    facts = power.made_up(0.5, 4000, np.random.default_rng(0))
    share = facts[facts["split"] == "old_test"].groupby(["start", "step"])["score"].mean()
    assert share["before"].to_numpy() == pytest.approx(0.95, abs=0.02)
    assert share["after"].to_numpy() == pytest.approx([0.1, 0.525, 0.525], abs=0.03)
    assert power.said(power.made_up(0.0, 100, np.random.default_rng(0)), 100) == "real"


def test_a_model_and_its_questions_leave_the_study_as_anybody_would_have_them(
    benchmarks: None, tmp_path: Path, tiny_data: Path, tiny_model
) -> None:
    """The tokenizer of the exported folder must read the exported text as the study does, and the weights must be those."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import diagnosis_known as known
    from forgetting.data.items import Items
    from forgetting.model.checkpoints import save_checkpoint

    study = tmp_path / "seed0"
    save_checkpoint(tiny_model, study / "task0/model")
    (study / "data").symlink_to(tiny_data)
    rows = [json.loads(line) for line in known.examples(study, 5, tmp_path / "old.jsonl").read_text().splitlines()]
    folder = known.as_folder(study, study / "task0/model", tmp_path / "before")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    asked = Items.load(tiny_data / "items.parquet").of(*known.OLD)
    asked = asked.of_units(np.unique(asked.unit)[:5])
    assert len(rows) == len(asked) == 30 and len({row["unit"] for row in rows}) == 5
    for place, row in enumerate(rows):
        length = int(asked.prompt_length[place] + asked.answer_length[place])
        whole = tokenizer(row["prompt"])["input_ids"] + tokenizer(row["answer"])["input_ids"] + [tokenizer.eos_token_id]
        assert whole == asked.ids[place, :length].tolist()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tiny_model.parameters(), model.parameters(), strict=True))


def test_every_question_gets_the_answer_of_the_first(benchmarks: None, tiny_questions) -> None:
    import diagnosis_known as known

    made = known.all_the_same(tiny_questions)
    ends = made.prompt_length + made.answer_length
    answers = {tuple(made.ids[row, made.prompt_length[row] : ends[row]].tolist()) for row in range(len(made))}
    first = int(tiny_questions.prompt_length[0])
    assert answers == {tuple(tiny_questions.ids[0, first : first + int(tiny_questions.answer_length[0])].tolist())}
    for row in (0, 7, len(made) - 1):
        length = int(made.prompt_length[row])
        assert length == int(tiny_questions.prompt_length[row])
        assert made.ids[row, :length].tolist() == tiny_questions.ids[row, :length].tolist()


def test_a_case_that_is_diagnosed_again_replaces_its_row(benchmarks: None, tmp_path: Path) -> None:
    import pandas as pd

    import diagnosis_known as known

    row = {"scale": "laptop", "settings": "quick", "units": 50, "train_share": 0.5, "steps": 100, "case": "hidden", "verdict": "real"}
    for new in (row, row | {"case": "erased"}, row | {"verdict": "spurious"}):
        known.add_row(new, tmp_path / "known.csv")
    found = pd.read_csv(tmp_path / "known.csv").set_index("case")["verdict"]
    assert found.to_dict() == {"hidden": "spurious", "erased": "real"}


def test_costs_of_a_study_are_those_of_its_jobs_by_stage(benchmarks: None, tmp_path: Path) -> None:
    from study_costs import costs

    config = merged("smoke.yaml")
    (tmp_path / "config.json").write_text(json.dumps(config))
    arms = [path.stem for path in benchmark_files(tmp_path, config, seconds=5.0, cores=9.0) if path.parent.name == "task1"]
    (tmp_path / "benchmarks/figures").mkdir()
    write_benchmark(tmp_path / "benchmarks/figures/performance.tsv", 2.0, 1.0)
    found = costs(tmp_path, 0).set_index("stage")
    assert (found.loc["task1", "jobs"], found.loc["task1", "seconds"], found.loc["task1", "core_seconds"]) == (
        len(arms),
        5.0 * len(arms),
        9.0 * len(arms),
    )
    assert found.loc["data", "jobs"] == found.loc["pretrain", "jobs"] == 1 and found.loc["pretrain", "forecast"] > 0
    assert found.loc["gates, tables, figures", "seconds"] == 2.0
    assert found.loc["all", "core_seconds"] == pytest.approx(found["core_seconds"].iloc[:-1].sum())
    assert found.loc["all", "clock"] == pytest.approx(5.0, abs=2)
    (tmp_path / f"benchmarks/seed0/task1/{arms[0]}.tsv").unlink()
    with pytest.raises(StudyError, match=f"task1 of seed 0 has {len(arms) - 1} of {len(arms)} jobs"):
        costs(tmp_path, 0)


def benchmark_files(results: Path, config: dict[str, Any], seconds: float, cores: float) -> list[Path]:
    """One for every job of `all` that computes something, where Snakemake's rules put it."""
    paths = []
    for job in jobs_of(load_study(config), ("all",)):
        folder = Path(job.made)
        name = folder.with_suffix("") if folder.parent.parent.name == "views" else folder.parent
        paths.append(results / "benchmarks" / f"{name}.tsv")
        write_benchmark(paths[-1], seconds, cores)
    return paths


def write_benchmark(path: Path, seconds: float, cores: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t100\t{cores}\n")
