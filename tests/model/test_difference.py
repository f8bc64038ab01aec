"""Checkpoints stored as differences: the same bits come back, whatever they are, or an error that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from tests import jobs, sections
from tests.study import ROOT, clone_to, merged, snakemake
from tests.workflow.scripts import run_positional
from torch import Tensor
from transformers import AutoModelForCausalLM, GPTNeoXForCausalLM

from forgetting.config.fields import ConfigError
from forgetting.config.plan import recovery_job, task1_job
from forgetting.config.steps import checkpoint_steps, dense_steps
from forgetting.config.study import StudyConfig, load_study
from forgetting.methods.base import Setting
from forgetting.model.checkpoints import CheckpointError, build_model, load_checkpoint, load_weights, save_checkpoint
from forgetting.model.difference import DIFFERENCE, WEIGHTS, Base, compress, expand
from forgetting.pipeline.sizes import Sizes
from forgetting.stages.task1 import finetune_task1
from forgetting.views.inputs import Checkpoints

PATTERNS = [0x00000000, 0x80000000, 0x7FC00001, 0xFFC00000, 0x7F800000, 0xFF800000, 0x00000001, 0x807FFFFF, 0x7F7FFFFF, 0x3F800000]
"""0, -0, two NaN, both infinities, two denormals, the largest number, 1."""


def bits(weight: Tensor) -> Tensor:
    """What `torch.equal` may compare: NaN is not equal to NaN."""
    return weight.contiguous().view(torch.int32)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(bits(one[name]), bits(other[name])) for name in one)


def test_every_pair_of_special_numbers_comes_back() -> None:
    ours, base = (grid.reshape(-1) for grid in np.meshgrid(np.array(PATTERNS, np.uint32), np.array(PATTERNS, np.uint32)))
    blob = compress(ours, base)
    assert blob is not None and np.array_equal(expand(blob, base), ours)
    generator = np.random.default_rng(0)
    ours, base = generator.integers(0, 2**32, (2, 10_001), dtype=np.uint32)
    blob = compress(ours, base)
    assert blob is not None and np.array_equal(expand(blob, base), ours)
    assert compress(ours, ours) is None


@pytest.fixture
def models(tmp_path: Path) -> tuple[GPTNeoXForCausalLM, GPTNeoXForCausalLM]:
    """A model saved as `task0`, and one a little away from it: layer 0 is frozen, one matrix has special numbers, one is noise."""
    start, model = (build_model(sections.model(hidden_size=64), 200, seed=0) for _ in range(2))
    save_checkpoint(start, tmp_path / "task0")
    weights = model.state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        if "layers.0" not in name:
            weight += 1e-5 * torch.randn(weight.shape, generator=generator)
    weights["gpt_neox.embed_in.weight"].view(torch.int32).reshape(-1)[: len(PATTERNS)] = torch.tensor(PATTERNS).to(torch.int32)
    noise = torch.randint(-(2**31), 2**31, (64, 256), generator=generator).to(torch.int32)
    weights["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"].copy_(noise.view(torch.float32))
    return start, model.eval()


@pytest.fixture
def stored(models: tuple[GPTNeoXForCausalLM, GPTNeoXForCausalLM], tmp_path: Path) -> Path:
    """The folder of the second one, a difference from the first."""
    folder = tmp_path / "task1" / "step-000005"
    save_checkpoint(models[1], folder, base=Base(tmp_path / "task0", folder))
    return folder


def test_a_difference_is_smaller_and_comes_back_bit_for_bit(
    models: tuple[GPTNeoXForCausalLM, GPTNeoXForCausalLM], stored: Path, tmp_path: Path
) -> None:
    assert sorted(path.name for path in stored.iterdir()) == ["config.json", DIFFERENCE]
    whole = tmp_path / "whole"
    save_checkpoint(models[1], whole)
    assert same(load_weights(stored), load_weights(whole))
    assert same(load_checkpoint(stored).state_dict(), models[1].state_dict())
    assert not load_checkpoint(stored).training
    assert (stored / DIFFERENCE).stat().st_size < 0.8 * (whole / WEIGHTS).stat().st_size
    with safetensors.safe_open(stored / DIFFERENCE, framework="pt") as file:
        entries = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert not [name for name in entries if "layers.0" in name], "frozen weights take nothing"
    assert entries["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"].dtype == torch.float32, "whole where that is smaller"
    assert entries["gpt_neox.embed_in.weight"].dtype == torch.uint8


def test_results_can_be_copied(stored: Path, tmp_path: Path) -> None:
    before = load_weights(stored)
    for name in ("task0", "task1"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    assert same(load_weights(tmp_path / "elsewhere" / "task1" / "step-000005"), before)


def other_base(stored: Path) -> None:
    save_checkpoint(build_model(sections.model(hidden_size=64), 200, seed=1), stored.parents[1] / "task0")


def truncated(stored: Path) -> None:
    (stored / DIFFERENCE).write_bytes((stored / DIFFERENCE).read_bytes()[:-100])


def garbled(stored: Path) -> None:
    """In the middle of the first blob of some size, whose frame then cannot be read."""
    data = bytearray((stored / DIFFERENCE).read_bytes())
    data[-200_000:] = bytes(200_000)
    (stored / DIFFERENCE).write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda stored: shutil.rmtree(stored.parents[1] / "task0"),
            r"step-000005/difference\.safetensors: .*task0/model.safe.* is missing",
        ),
        (other_base, r"step-000005/difference\.safetensors: .*other contents"),
        (truncated, r"step-000005/difference\.safetensors: cannot be read"),
        (garbled, r"step-000005/difference\.safetensors: cannot be read"),
        (lambda stored: shutil.copyfile(stored.parents[1] / "task0" / WEIGHTS, stored / DIFFERENCE), "not a difference that"),
    ],
)
@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_what_cannot_be_read_is_named(stored: Path, harm: Callable[[Path], None], message: str, load: Callable[[Path], object]) -> None:
    harm(stored)
    with pytest.raises(CheckpointError, match=message):
        load(stored)


def test_one_command_makes_a_model_that_transformers_opens(
    models: tuple[GPTNeoXForCausalLM, GPTNeoXForCausalLM], stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_positional("expand_checkpoint", monkeypatch, stored, tmp_path / "opened")
    assert same(AutoModelForCausalLM.from_pretrained(tmp_path / "opened").state_dict(), models[1].state_dict())


def test_bfloat16_checkpoints_open_as_such_and_load_as_float32(
    models: tuple[GPTNeoXForCausalLM, GPTNeoXForCausalLM], tmp_path: Path
) -> None:
    save_checkpoint(models[0], tmp_path / "half", precision="bfloat16")
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.55 * (tmp_path / "task0" / WEIGHTS).stat().st_size
    opened, loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "half"), load_checkpoint(tmp_path / "half")
    assert opened.dtype == torch.bfloat16 and loaded.dtype == torch.float32
    rounded = {name: weight.bfloat16().float() for name, weight in models[0].state_dict().items()}
    assert same(loaded.state_dict(), rounded)
    assert all(weight.dtype == torch.float32 for weight in load_weights(tmp_path / "half").values())


def test_task1_keeps_the_same_weights_as_differences(tiny_setting: Setting, tiny_data: Path, tmp_path: Path) -> None:
    """Only the dense early checkpoints are differences, and what views read is the same."""
    save_checkpoint(tiny_setting.model, tmp_path / "seed0" / "task0" / "model")
    found = {}
    for kind in ("whole", "difference"):
        run = jobs.task1(tiny_setting.training, {"method": "freeze", "layers": 1}, early_checkpoints=kind)
        output = tmp_path / "seed0" / kind
        finetune_task1(run, tiny_data, tmp_path / "seed0/task0/model", tmp_path / "scratch", output)
        found[kind] = Checkpoints.find(tmp_path / "seed0/task0/model", output / "checkpoints")
    assert found["whole"].steps == found["difference"].steps == [0, 5, 10, 80]
    assert all(same(found["whole"].weights(step), found["difference"].weights(step)) for step in found["whole"].steps)
    stored = {path.parent.name for path in (tmp_path / "seed0/difference").rglob(DIFFERENCE)}
    assert stored == {"step-000005", "step-000010"}
    assert not list((tmp_path / "seed0/whole").rglob(DIFFERENCE))


def test_what_people_open_is_never_a_difference() -> None:
    config = study().task1
    kept = checkpoint_steps(config, config.steps)
    assert dense_steps(config, kept) == {*range(5, 201, 5)} - {150}
    assert dense_steps(config, checkpoint_steps(config, 100)) == {*range(5, 100, 5)}, "the end of a short arm is whole"
    assert not dense_steps(config, checkpoint_steps(config, config.steps, every=False))


def study(**storage: str) -> StudyConfig:
    return load_study(merged("paper.yaml") | {"storage": {"early_checkpoints": "whole", "checkpoint_precision": "float32"} | storage})


def test_a_study_that_stores_whole_float32_weights_is_what_it_was_before() -> None:
    plain, dense, half = study(), study(early_checkpoints="difference"), study(checkpoint_precision="bfloat16")
    for job in (task1_job, recovery_job):
        assert job(half, 0, "seq") == job(plain, 0, "seq").model_copy(update={"checkpoint_precision": "bfloat16"})
    assert task1_job(dense, 0, "seq") == task1_job(plain, 0, "seq").model_copy(update={"early_checkpoints": "difference"})
    assert recovery_job(dense, 0, "seq") == recovery_job(plain, 0, "seq"), "recovery reads the same weights"
    assert task1_job(dense, 0, "freeze-3") == task1_job(plain, 0, "freeze-3"), "it keeps no early checkpoint"
    whole, smaller, smallest = (Sizes(config).of("task1", "seq").disk for config in (plain, dense, half))
    assert smallest < smaller < 0.75 * whole
    with pytest.raises(ConfigError, match="storage: early_checkpoints: difference is for"):
        study(early_checkpoints="difference", checkpoint_precision="bfloat16")


def test_the_plan_names_the_files_that_the_jobs_write(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    done = snakemake("-n", "results/smoke/seed0/task1/seq/metrics.parquet", "--configfile", "config/smoke.yaml", "--config",
                     "storage={early_checkpoints: difference}", cwd=clone)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    folder = "results/smoke/seed0/task1/seq/checkpoints"
    for name, file in {"step-000050": DIFFERENCE, "step-000150": WEIGHTS, "step-000200": WEIGHTS, "matched": WEIGHTS}.items():
        assert f"{folder}/{name}/{file}" in done.stdout
    assert f"{folder}/step-000050/{WEIGHTS}" not in done.stdout
    assert (ROOT / "config/paper.yaml").read_text().count("early_checkpoints: difference") == 1
