from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.compare_studies import Renames, differences


def write_metrics(path: Path, loss: float, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"metric": ["loss", "seconds"], "value": [loss, seconds]}).to_parquet(path)


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Path, Path]:
    """Two studies that differ in what they may: the time they took, their manifests."""
    old, new = tmp_path / "old", tmp_path / "new"
    for number, study in enumerate((old, new)):
        write_metrics(study / "seed0/metrics.parquet", 0.25, seconds=number)
        (study / "seed0/model").mkdir()
        (study / "seed0/model/model.safetensors").write_bytes(bytes(range(8)))
        (study / "seed0/checkpoints.json").write_text(str(number))
    return old, new


def test_time_and_manifests_may_differ(studies: tuple[Path, Path]) -> None:
    assert list(differences(*studies)) == []


def test_every_difference_is_told(studies: tuple[Path, Path]) -> None:
    old, new = studies
    write_metrics(new / "seed0/metrics.parquet", 0.25 + 1e-15, seconds=1)
    (new / "seed0/model/model.safetensors").write_bytes(bytes(range(7)) + b"\0")
    shutil.copytree(old / "seed0", old / "seed1")
    write_metrics(new / "seed2/metrics.parquet", 1, 1)
    told = dict(line.split(": ", 1) for line in differences(old, new))
    assert told.pop("seed0/metrics.parquet")
    assert told == {
        "seed0/model/model.safetensors": "other bytes",
        "seed1/metrics.parquet": f"only in {old}",
        "seed1/model/model.safetensors": f"only in {old}",
        "seed2/metrics.parquet": f"only in {new}",
    }


def test_what_was_renamed_is_compared_under_its_new_name(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    pd.DataFrame({"group": ["a", "b"], "value": [1, 2]}).to_parquet(old / "qa.parquet")
    pd.DataFrame({"task": ["x", "x"], "value": [1, 2], "split": ["a", "c"]}).to_parquet(new / "items.parquet")
    names = {"files": {"qa.parquet": "items.parquet"}, "columns": {"group": "split"}, "added": frozenset(["task"])}
    assert list(differences(old, new, Renames(**names, values={"b": "c"}))) == []
    for left_out in names:
        assert list(differences(old, new, Renames(**{name: said for name, said in names.items() if name != left_out}, values={"b": "c"})))
    assert list(differences(old, new, Renames(**names)))
