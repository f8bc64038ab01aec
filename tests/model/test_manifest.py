"""The manifest of a job's checkpoints: what it says, what is found out when one is opened, and what only `snakemake verify` finds."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from tests import sections
from tests.workflow.scripts import run_positional

from forgetting.errors import CheckpointError
from forgetting.model.checkpoints import build_model, load_checkpoint, load_weights, publish_all, save_checkpoint
from forgetting.model.manifest import MANIFEST, checkpoint_folders, damages, read_manifest, step_folders, write_manifest
from forgetting.tables import WriteError
from forgetting.views.inputs import Checkpoints

NAMES = ("step-000005", "step-000150", "matched")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder of a job that has published three checkpoints."""
    for number, name in enumerate(NAMES):
        save_checkpoint(build_model(sections.model(layers=1, hidden_size=16, heads=2), 20, seed=number), tmp_path / "scratch" / name)
    publish_all({name: tmp_path / "scratch" / name for name in NAMES}, tmp_path / "job")
    return tmp_path / "job"


def weights(job: Path) -> Path:
    return job / "checkpoints" / "step-000150" / "model.safetensors"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_it_lists_every_file_of_every_checkpoint(job: Path) -> None:
    found = json.loads((job / MANIFEST).read_text())
    assert list(found) == sorted(f"checkpoints/{name}" for name in NAMES)
    for name, files in found.items():
        assert list(files) == sorted(path.name for path in (job / name).iterdir()) == ["config.json", "model.safetensors"]
        for file, told in files.items():
            content = (job / name / file).read_bytes()
            assert told == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def test_it_is_the_same_for_the_same_weights_wherever_they_lie(job: Path, tmp_path: Path) -> None:
    """It says nothing of where and when, so what depends on it does not run again because weights were moved or made again."""
    before = (job / MANIFEST).read_bytes()
    publish_all({name: tmp_path / "scratch" / name for name in reversed(NAMES)}, tmp_path / "elsewhere" / "job")
    assert (tmp_path / "elsewhere" / "job" / MANIFEST).read_bytes() == before


def test_checkpoints_of_before_are_gone(job: Path, tmp_path: Path) -> None:
    publish_all({"step-000005": tmp_path / "scratch" / "step-000005"}, job)
    assert [path.name for path in (job / "checkpoints").iterdir()] == ["step-000005"]
    assert list(read_manifest(job / MANIFEST)) == ["checkpoints/step-000005"]


def test_there_is_none_while_checkpoints_are_half_published(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Path) -> None:
        raise WriteError("the disk is full")

    monkeypatch.setattr("forgetting.model.checkpoints.publish", full)
    with pytest.raises(WriteError):
        publish_all({"step-000005": tmp_path / "scratch" / "step-000005"}, job)
    assert not (job / MANIFEST).exists()


@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_a_missing_file_is_named_with_what_to_do(job: Path, load) -> None:
    weights(job).unlink()
    with pytest.raises(CheckpointError, match=rf"{weights(job)}: is missing.*delete {job / MANIFEST}.*--forcerun"):
        load(weights(job).parent)
    shutil.rmtree(weights(job).parent)
    with pytest.raises(CheckpointError, match=r"step-000150/config\.json: is missing"):
        load(weights(job).parent)
    load(job / "checkpoints" / "matched")


@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_another_size_is_named(job: Path, load) -> None:
    size = weights(job).stat().st_size
    with weights(job).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: has {size + 1} bytes instead of {size}"):
        load(weights(job).parent)


def test_a_flipped_bit_is_found_when_asked(job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(damages(job / MANIFEST)) == []
    run_positional("verify", monkeypatch, job)
    assert f"{job / MANIFEST}: nothing wrong" in capsys.readouterr().out
    flip_a_bit(weights(job))
    load_checkpoint(weights(job).parent)  # its size is right
    assert list(damages(job / MANIFEST)) == [f"{weights(job)}: has other contents than when it was written"]
    (job / "checkpoints" / "matched" / "config.json").unlink()
    with pytest.raises(SystemExit) as ending:
        run_positional("verify", monkeypatch, job.parent)
    said = str(ending.value.code)
    assert f"{weights(job)}: has other contents" in said and "matched/config.json: is missing" in said
    assert f"delete {job / MANIFEST}" in said


def test_a_view_sees_a_deleted_checkpoint_and_none_that_is_not_listed(job: Path) -> None:
    """Otherwise it would be drawn of the checkpoints that happen to be there."""
    shutil.rmtree(weights(job).parent)
    shutil.copytree(job / "checkpoints" / "matched", job / "checkpoints" / "step-000007")
    assert list(step_folders(job / "checkpoints")) == [5, 150]
    found = Checkpoints.find("task0", job / "checkpoints")
    assert found.steps == [0, 5, 150]
    with pytest.raises(CheckpointError, match="step-000150"):
        found.weights(150)


def test_a_model_from_elsewhere_needs_no_manifest(job: Path, tmp_path: Path) -> None:
    given = Path(shutil.copytree(job / "checkpoints" / "matched", tmp_path / "given" / "model"))
    load_checkpoint(given)
    assert set(load_weights(given)) == set(load_weights(job / "checkpoints" / "matched"))
    assert checkpoint_folders(given.parent) == {"model": given}


@pytest.mark.parametrize("text", ["", "[]", '{"model": {"config.json": 3}}', '{"model": {"config.json": {"size": 3}}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    save_checkpoint(build_model(sections.model(layers=1, hidden_size=16, heads=2), 20, seed=0), tmp_path / "model")
    write_manifest(tmp_path, ["model"])
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match=rf"{MANIFEST}: cannot be read as a list of checkpoints.*delete it and run again"):
        load_checkpoint(tmp_path / "model")
