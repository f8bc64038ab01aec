"""A disk that is full or read-only: the file is named, what was there stays whole, and with room the same command completes."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study import ROOT, clone_to, snakemake
from tests.workflow.scripts import RESOURCES, failing_script, run_script, smoke_config

from forgetting.config.jobs.data import DataJob
from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.people import PEOPLE
from forgetting.tables import WriteError, read_table
from forgetting.training.resume import Scratch

Mount = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A small disk of its own, and a function that mounts it (again) with other options. Needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> None:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")

    mount("size=256k")
    yield folder, mount
    subprocess.run(["umount", folder], check=True)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: a full disk for those who cannot make one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def parts(folder: Path) -> list[Path]:
    """Half files."""
    return list(folder.rglob("*.part"))


def test_data_on_a_full_disk(disk: tuple[Path, Mount], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, mount = disk
    mount("remount,size=32k")
    flags = {"config": smoke_config(tmp_path), "resources": RESOURCES, "output": folder / "data"}
    said = failing_script("data", monkeypatch, **flags)
    assert f"{folder}/data/" in said and "cannot be written" in said and "No space left" in said
    assert not parts(folder)
    assert len(read_table(folder / "data" / "people.parquet", PEOPLE)) == 52, "what was written before is whole"
    mount("remount,size=8m")
    run_script("data", monkeypatch, **flags)
    assert (folder / "data" / "card.md").exists()


@pytest.mark.long
def test_training_on_a_full_disk(
    disk: tuple[Path, Mount], tiny_data: Path, tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state, a checkpoint, or a table fails to be written, whichever comes first; with room the same command completes."""
    folder, mount = disk
    save_checkpoint(tiny_model, tmp_path / "model")
    flags = {"config": smoke_config(tmp_path, "task1/seq"), "data": tiny_data, "starts": tmp_path / "model"}
    flags |= {"scratch": folder / "scratch", "output": folder / "output"}
    said = failing_script("finetune", monkeypatch, **flags)
    assert f"{folder}/" in said and "cannot be written" in said
    assert not parts(folder)
    assert not (folder / "output").exists()
    mount("remount,size=32m")
    run_script("finetune", monkeypatch, **flags)
    assert len(read_table(folder / "output" / "metrics.parquet", METRICS)) > 0
    load_checkpoint(folder / "output" / "checkpoints" / "matched")
    assert not (folder / "scratch").exists()


def test_a_state_that_does_not_fit_leaves_the_one_before(tiny_model: Any, tmp_path: Path) -> None:
    """torch answers a full disk with an error of its own, which tells nothing."""
    run = DataJob.load(smoke_config(tmp_path))
    adamw = torch.optim.AdamW(tiny_model.parameters())
    Scratch(tmp_path / "scratch", run).save(3, tiny_model, adamw, {"losses": [1.0]})
    with files_up_to(4096), pytest.raises(WriteError, match=r"scratch/state\.pt: cannot be written"):
        Scratch(tmp_path / "scratch", run).save(4, tiny_model, adamw, {"losses": [1.0, 2.0]})
    assert not parts(tmp_path)
    assert Scratch(tmp_path / "scratch", run).load(tiny_model, adamw) == (3, {"losses": [1.0]})


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tiny_model: Any, tmp_path: Path) -> None:
    save_checkpoint(tiny_model, tmp_path / "model")
    before = {name: weight.clone() for name, weight in tiny_model.state_dict().items()}
    with torch.no_grad():
        next(tiny_model.parameters()).zero_()
    with files_up_to(4096), pytest.raises(WriteError, match="model: cannot be written"):
        save_checkpoint(tiny_model, tmp_path / "model")
    assert not parts(tmp_path)
    assert all(torch.equal(weight, before[name]) for name, weight in load_checkpoint(tmp_path / "model").state_dict().items())


def test_read_only_output(disk: tuple[Path, Mount], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, mount = disk
    mount("remount,ro")
    said = failing_script("data", monkeypatch, config=smoke_config(tmp_path), resources=RESOURCES, output=folder / "data")
    assert f"{folder}/data/people.parquet: cannot be written" in said and "Read-only" in said


def test_read_only_results_stop_snakemake(disk: tuple[Path, Mount], tmp_path: Path) -> None:
    folder, mount = disk
    mount("remount,ro")
    clone = clone_to(tmp_path / "clone")
    (clone / "results").symlink_to(folder)
    done = snakemake("-n", "all", cwd=clone)
    assert done.returncode != 0
    assert f"cannot write results: {clone / 'results'} is not a folder that you may write to" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_job_of_snakemake_on_a_full_disk(disk: tuple[Path, Mount], tmp_path: Path) -> None:
    """What its user sees: the log of the job, on the disk that is full, still has the message; the same command then completes."""
    folder, mount = disk
    mount("remount,size=100k")
    clone = clone_to(tmp_path / "clone")
    (clone / "results").symlink_to(folder)
    command = ("-c1", "data", "--configfile", str(ROOT / "config" / "smoke.yaml"), "--show-failed-logs")
    done = snakemake(*command, cwd=clone)
    assert done.returncode != 0
    assert "No space left" in done.stdout and "cannot be written" in done.stdout
    assert not parts(folder)
    mount("remount,size=8m")
    done = snakemake(*command, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
