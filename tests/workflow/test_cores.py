"""`--cores` as typed may be more than there are: no job, and not all of them together, gets more threads than cores."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from loky import cpu_count
from tests.study import ROOT, SMOKE, clone_to, snakemake

PRETRAINED = "results/smoke/seed0/pretrain/metrics.parquet"
FOUR_THREADS = ("--config", "threads={pretrain: 4}")


def with_cores(count: int) -> dict[str, str]:
    """An environment in which a process may use at most so many cores."""
    return os.environ | {"LOKY_MAX_CPU_COUNT": str(count)}


def bind_to_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_a_process_bound_to_one_core_gives_one_thread_to_a_job_that_wants_four() -> None:
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "8", PRETRAINED, *SMOKE, *FOUR_THREADS]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120, preexec_fn=bind_to_one_core)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "threads: " not in done.stdout  # Snakemake names them where there are several


def test_fewer_cores_than_there_are_stay_as_asked_for() -> None:
    done = snakemake("-n", "--cores", "3", PRETRAINED, *SMOKE, *FOUR_THREADS, env=with_cores(64))
    asked = min(3, cpu_count())
    assert (re.findall(r"threads: (\d+)", done.stdout) or ["1"]) == [str(asked)], done.stdout


def test_a_run_says_in_one_line_that_it_uses_fewer_cores(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--cores", "8", "results/smoke/seed0/data/config.json", *SMOKE, cwd=clone, env=with_cores(1))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("--cores 8, but this process may use 1: all jobs together get 1.") == 1


def test_a_script_by_hand_uses_no_more_threads_than_cores() -> None:
    code = (
        "import torch; from forgetting.pipeline.command import run_command; run_command(lambda: print('threads', torch.get_num_threads()))"
    )
    environment = with_cores(1) | {"OMP_NUM_THREADS": "4", "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, timeout=120)
    assert "threads 1" in done.stdout, done.stdout + done.stderr


TOKENIZES = """
import os
from tokenizers import Tokenizer, models, pre_tokenizers
from forgetting.pipeline.command import run_command

def tokenize():
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    before = len(os.listdir("/proc/self/task"))
    tokenizer.encode_batch(["a a a"] * 10_000)
    print("threads", len(os.listdir("/proc/self/task")) - before)

run_command(tokenize)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list the threads of a process")
@pytest.mark.parametrize("threads", [1, 3])
def test_tokenizers_have_the_threads_that_snakemake_gave_the_job(threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAYON_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", TOKENIZES], env=environment, text=True, capture_output=True, timeout=120)
    assert f"threads {threads}\n" in done.stdout, done.stdout + done.stderr


@pytest.mark.long
def test_a_run_looks_at_waiting_jobs_only_when_one_has_ended(tmp_path: Path) -> None:
    """And not again and again each second, more often with every job."""
    clone = clone_to(tmp_path / "clone")
    done = snakemake("-c1", "--verbose", *SMOKE, "--config", "seeds=[0,1,2]", "--", "data", cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    (log,) = (clone / ".snakemake/log").glob("*.log")
    assert done.stdout.count("Resources before job selection") <= log.read_text().count("Finished jobid") + 2


@pytest.mark.long
def test_a_cluster_needs_no_number_of_cores_and_other_architectures_are_refused_there() -> None:
    """Rules are read without a number of cores with a cluster's executor."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    on_cluster = ("--executor", "slurm", "--jobs", "1", "--slurm-init-seconds-before-status-checks", "1")  # it would wait for 40 at its end
    done = snakemake(*on_cluster, "--nolock", "architectures", *SMOKE, timeout=300)
    assert done.returncode == 1 and "architectures runs whole studies on the machine where Snakemake runs" in done.stdout
