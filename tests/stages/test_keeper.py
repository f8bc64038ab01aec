"""What others leave in our folders is none of ours, and a step may have any number of digits."""

from __future__ import annotations

import json
from pathlib import Path

from tests.families import family_model

from forgetting.data.points import MATCHED
from forgetting.model.checkpoints import CHECKPOINTS, load_checkpoint
from forgetting.model.manifest import MANIFEST, damages, step_folders
from forgetting.stages.keeper import Keeper, publish_end

MODEL = family_model("gpt_neox", 20)


def litter(folder: Path) -> None:
    """What file managers, editors and network file systems leave."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (".DS_Store", ".nfs000000000000abcd", ".config.json.swp"):
        (folder / name).write_bytes(b"x")


def keep(keeper: Keeper, *learned: int) -> None:
    for step in sorted({*keeper.steps, *learned}):
        keeper.keep(MODEL, step)
        keeper.match(MODEL, step, step in learned)


def test_stray_files_are_neither_published_nor_in_the_manifest(tmp_path: Path) -> None:
    keeper, output = Keeper(tmp_path / "scratch", {10, 20}, "float32"), tmp_path / "arm"
    for folder in (keeper.checkpoints, keeper.learned, keeper.checkpoints / "step-000010"):
        litter(folder)
    keep(keeper, 20)
    litter(keeper.checkpoints / "step-000010")
    keeper.publish(output)
    manifest = json.loads((output / MANIFEST).read_text())
    assert list(manifest) == [f"{CHECKPOINTS}/{name}" for name in (MATCHED, "step-000010", "step-000020")]
    assert {name for files in manifest.values() for name in files} == {"config.json", "model.safetensors"}
    assert sorted(path.name for path in (output / CHECKPOINTS / "step-000010").iterdir()) == ["config.json", "model.safetensors"]
    litter(output / CHECKPOINTS)
    litter(output / CHECKPOINTS / "step-000020")
    load_checkpoint(output / CHECKPOINTS / "step-000020")
    assert list(step_folders(output / CHECKPOINTS)) == [10, 20] and not list(damages(output / MANIFEST))


def test_a_step_of_seven_digits_comes_after_those_of_six(tmp_path: Path) -> None:
    keeper, output = Keeper(tmp_path / "scratch", {5, 1_000_000, 1_500_000}, "float32"), tmp_path / "arm"
    keep(keeper, 1_000_000)
    keep(keeper, 999_999)  # a stretch that a killed job trains again
    keeper.publish(output)
    assert list(step_folders(output / CHECKPOINTS)) == [5, 1_000_000, 1_500_000]
    assert (output / CHECKPOINTS / MATCHED / "model.safetensors").samefile(keeper.learned / "step-999999/model.safetensors")
    publish_end(MODEL, keeper.checkpoints, tmp_path / "task0")
    assert list(step_folders(tmp_path / "task0" / CHECKPOINTS)) == [5, 1_000_000, 1_500_000]


def test_where_task_1_was_never_learned_the_end_is_matched(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "scratch", {5, 1_000_000}, "float32")
    keep(keeper)
    keeper.publish(tmp_path / "arm")
    matched, end = (tmp_path / "arm" / CHECKPOINTS / name / "model.safetensors" for name in (MATCHED, "step-1000000"))
    assert matched.samefile(end)
