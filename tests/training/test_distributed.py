"""Pretraining in two processes, which share each batch on the CPU (gloo) as they do on GPUs (NCCL, for which there is no test)."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.study import ROOT, SMOKE, merged, snakemake

from forgetting.config.plan import pretrain_job
from forgetting.config.study import StudyConfig, load_study
from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.failures import LOST_CONTACT
from forgetting.model.checkpoints import load_weights
from forgetting.pipeline.launch import exit_code
from forgetting.pipeline.sizes import Sizes
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table
from forgetting.training.batches import Batch, QuestionBatches
from forgetting.training.distributed import rows_of
from forgetting.training.step import BatchLoss

TWO_GPUS = ("--config", "gpus_per_job=1", "gpus_for_pretraining=2")
PRETRAINED = "results/smoke/seed0/pretrain"
SECONDS = 240
"""Within which a started process has done what a test waits for, on a machine with much else to do."""


def with_gpus(gpus: int | None) -> StudyConfig:
    return load_study(merged("paper.yaml") | {"gpus_for_pretraining": gpus})


@pytest.fixture(scope="module")
def shared(smoke_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the smoke study, pretrained again by the rule, in two processes."""
    clone = Path(shutil.copytree(smoke_study, tmp_path_factory.mktemp("two") / "clone"))
    done = snakemake("--cores", "2", "--forcerun", "pretrain", "--until", "pretrain", "-p", *SMOKE, *TWO_GPUS, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "python -m forgetting.pipeline.launch 2 workflow/scripts/pretrain.py" in done.stdout
    return clone / PRETRAINED


@pytest.mark.long
def test_two_processes_end_like_one(smoke_clone: Path, shared: Path) -> None:
    one, two = (load_weights(folder / "model") for folder in (smoke_clone / PRETRAINED, shared))
    assert any(not torch.equal(one[name], two[name]) for name in one), "sums are added in another order"
    for name, weight in one.items():
        assert torch.allclose(two[name], weight, rtol=1e-4, atol=1e-5), name
    before, after = (read_table(folder / "metrics.parquet", METRICS) for folder in (smoke_clone / PRETRAINED, shared))
    for metric, tolerance in {"loss": 1e-5, "learning_rate": 0, "first_token_hard": 0.01}.items():
        values, others = (table.loc[table["metric"] == metric, "value"].to_numpy() for table in (before, after))
        assert len(values) and values == pytest.approx(others, rel=tolerance, abs=tolerance), metric


@pytest.mark.long
def test_another_number_of_gpus_makes_nothing_run_again(smoke_clone: Path) -> None:
    plan = snakemake("-n", f"{PRETRAINED}/metrics.parquet", *SMOKE, *TWO_GPUS, cwd=smoke_clone).stdout
    assert "Nothing to be done" in plan, plan[-2000:]


def start(shared: Path, folder: Path, script_file: str = "workflow/scripts/pretrain.py") -> subprocess.Popen[str]:
    """The command of the rule, with its output in `folder`."""
    data = shared.parent / "data"
    flags = {
        "config": shared / "config.json",
        "data": data,
        "resources": "resources",
        "scratch": folder / "scratch",
        "output": folder / "out",
    }
    script = [script_file, *(str(part) for name, path in flags.items() for part in (f"--{name}", path))]
    environment = os.environ | {"PYTHONPATH": "workflow", "OMP_NUM_THREADS": "2"}
    with (folder / "log").open("a") as log:
        command = [sys.executable, "-m", "forgetting.pipeline.launch", "2", *script]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)


@pytest.mark.long
def test_a_terminated_job_of_two_processes_resumes_to_the_same_weights(shared: Path, tmp_path: Path) -> None:
    job = start(shared, tmp_path)
    deadline = time.monotonic() + SECONDS
    while "step 22 " not in (tmp_path / "log").read_text() and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(SECONDS) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert said.count("state saved; run again to resume") == 1 and "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert start(shared, tmp_path).wait(SECONDS) == 0, (tmp_path / "log").read_text()
    assert "resuming at step" in (tmp_path / "log").read_text()
    expected, found = (load_weights(folder / "model") for folder in (shared, tmp_path / "out"))
    assert all(torch.equal(weight, found[name]) for name, weight in expected.items())
    assert not (tmp_path / "scratch").exists()


FAST = """
import runpy
from forgetting.training import loop
from forgetting.training.step import FastStep

def build(model, parameters, batches, config, precision, hooks):
    return FastStep(model, parameters, config, precision, hooks, [batches.batch(number) for number in range(4)])

loop.build_step = build
runpy.run_path("workflow/scripts/pretrain.py", run_name="__main__")
"""


@pytest.mark.slow
def test_two_processes_share_the_compiled_step(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text(FAST)
    assert start(shared, tmp_path, str(tmp_path / "fast.py")).wait(SECONDS) == 0, (tmp_path / "log").read_text()
    plain, fast = (load_weights(folder / "model") for folder in (shared, tmp_path / "out"))
    for name, weight in plain.items():
        assert torch.allclose(fast[name], weight, rtol=1e-4, atol=1e-5), name


FAILING = """
import torch
from forgetting.pipeline.command import run_command
from forgetting.training.distributed import join

def main():
    with join() as (world, device):
        if not world.leads:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        while True:
            world.agree(0)

run_command(main)
"""


@pytest.mark.long
def test_one_process_that_fails_ends_the_job_with_its_message(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    command = [sys.executable, "-m", "forgetting.pipeline.launch", "2", str(tmp_path / "failing.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    assert done.returncode == 1, done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("error: ")] == [
        "error: out of memory: lower evaluation.batch_size (CUDA out of memory. Tried to allocate 2.00 GiB.)"
    ]
    assert "Traceback" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["failing.py"], "logs of the launcher are gone"


def test_who_is_to_blame() -> None:
    assert exit_code({0: LOST_CONTACT, 1: 1}) == exit_code({0: 1, 1: -signal.SIGKILL}) == 1
    assert exit_code({0: 143, 1: 143}) == 143
    for codes in ({0: LOST_CONTACT, 1: -signal.SIGKILL}, {0: -signal.SIGTERM, 1: -signal.SIGKILL}):
        with pytest.raises(StudyError, match=r"process 1 was ended by SIGKILL.*run again"):
            exit_code(codes)
    with pytest.raises(StudyError, match="lost contact with each other; run again"):
        exit_code({0: LOST_CONTACT, 1: LOST_CONTACT})


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_of_a_batch_add_up_to_it(tiny_model, tiny_questions: Items, weighted: bool) -> None:
    """Answers have one to several tokens, so the parts do not have as many each."""
    batch, loss_of = QuestionBatches(tiny_questions, 8, 0).batch(0), BatchLoss(tiny_model)
    if weighted:
        share = torch.rand(len(batch.row), generator=torch.Generator().manual_seed(0)) / len(batch.row)
        batch = Batch(batch.ids, batch.row, batch.position, None, share)
    loss_of(batch).backward()
    whole = {name: weight.grad.clone() for name, weight in tiny_model.named_parameters()}
    tiny_model.zero_grad()
    parts = [rows_of(batch, rank, 4) for rank in range(4)]
    assert len({len(part.row) for part in parts}) > 1
    assert torch.equal(torch.cat([part.ids[part.row, part.position + 1] for part in parts]), batch.ids[batch.row, batch.position + 1])
    loss = torch.stack([loss_of(part) for part in parts]).mean()
    loss.backward()
    assert loss.item() == pytest.approx(loss_of(batch).item(), rel=1e-5)
    for name, weight in tiny_model.named_parameters():
        assert torch.allclose(weight.grad, whole[name], rtol=1e-4, atol=1e-6), name


def test_documents_are_shared_with_their_rows() -> None:
    ids = torch.arange(24).reshape(4, 6)
    batch = Batch(ids, torch.tensor([0, 1, 3]), torch.tensor([2, 0, 4]), ids // 3)
    first, second = (rows_of(batch, rank, 2) for rank in range(2))
    assert first.documents is not None and torch.equal(first.documents, ids[:2] // 3)
    assert second.row.tolist() == [1] and second.position.tolist() == [4] and torch.equal(second.ids, ids[2:])
    with pytest.raises(StudyError, match="batches of 4 rows cannot be shared by 3 GPUs evenly"):
        rows_of(batch, 0, 3)


def test_what_a_job_of_several_gpus_asks_for() -> None:
    one, four = (Sizes(with_gpus(gpus)) for gpus in (None, 4))
    assert (one.of("pretrain").gpus, four.of("pretrain").gpus) == (1, 4)
    assert four.of("pretrain").threads == 4 * one.of("pretrain").threads
    assert four.of("pretrain").seconds < 0.3 * one.of("pretrain").seconds
    assert four.of("task0") == one.of("task0") and four.gpus("view_weights") == 1 and four.gpus("make_data") == 0
    assert pretrain_job(with_gpus(4), 0) == pretrain_job(with_gpus(None), 0), "how, not what"


def test_the_rule_asks_for_all_gpus_at_once() -> None:
    target = "results/paper/seed0/pretrain/metrics.parquet"
    plan = snakemake("-n", "-p", target, "--configfile", "config/paper.yaml", "--config", "gpus_for_pretraining=8").stdout
    assert "gpu=8" in plan and "nodes=1" in plan
    assert shlex.split(plan[plan.index("python -m forgetting") :])[:4] == ["python", "-m", "forgetting.pipeline.launch", "8"]
