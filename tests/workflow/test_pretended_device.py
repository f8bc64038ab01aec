"""Everything that runs on a GPU, run with a pretended one: nothing there may mix devices."""

from __future__ import annotations

import runpy
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.test_every_method import ARMS
from tests.pretended import DEVICE, PretendedDevice

from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.config.jobs.task0 import Task0Job
from forgetting.config.knobs import parse_arm
from forgetting.methods.base import Setting, build_method
from forgetting.stages import pretraining, recovery, task0
from forgetting.training import distributed
from forgetting.training.loop import Plan, train

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def test_devices_do_not_mix() -> None:
    with PretendedDevice():
        there, here = torch.zeros(3, device=DEVICE), torch.ones(3)
        assert there.is_cuda and there.device == DEVICE and here.device.type == "cpu"
        for mixed in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: here[there.long()],
            lambda: here.add_(there),
        ):
            with pytest.raises(RuntimeError, match="tensors of the CPU and of cuda"):
                mixed()
        with pytest.raises(TypeError, match="NumPy"):
            there.numpy()
        moved, copied = here.to(DEVICE), torch.empty(3).copy_(there)
        assert (there + moved).is_cuda and (there[here.long() * 0] * torch.tensor(2.0)).is_cuda
        assert not here.is_cuda and not copied.is_cuda and not (there + 1).cpu().is_cuda
        assert there.view(3, 1)[1:].is_cuda and not torch.zeros(2, device="meta").is_cuda


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> PretendedDevice:
    """Not yet entered. Stages take it for their device."""
    for module in (distributed, task0, recovery):
        monkeypatch.setattr(module, "pick_device", lambda: DEVICE)
    monkeypatch.setattr(torch.random, "fork_rng", lambda **_: nullcontext())  # asks CUDA itself
    return PretendedDevice()


@pytest.mark.long
@pytest.mark.parametrize("entry", ARMS.values(), ids=ARMS)
def test_methods(tiny_setting: Setting, pretended: PretendedDevice, entry: dict[str, Any]) -> None:
    with pretended:
        tiny_setting.model.to(DEVICE)
        method = build_method(parse_arm(entry))
        method.before_task(tiny_setting)
        optimizer, schedule = tiny_setting.training.optimizer, tiny_setting.training.schedule
        history = train(tiny_setting.model, Plan(3, method.batches(), optimizer, schedule, frozenset([3]), lambda step: None, hooks=method))
    assert len(history.losses) == 3


@pytest.mark.long
def test_stages(smoke_clone: Path, tmp_path: Path, pretended: PretendedDevice) -> None:
    results = smoke_clone / "results" / "smoke" / "seed0"
    with pretended:
        run = PretrainJob.load(results / "pretrain/config.json")
        pretraining.pretrain(run, results / "data", smoke_clone / "resources", tmp_path / "scratch", tmp_path / "pretrain")
        run = Task0Job.load(results / "task0/config.json")
        task0.finetune_task0(run, results / "data", results / "pretrain/model", tmp_path / "scratch", tmp_path / "task0")
        run, task1 = RecoveryJob.load(results / "recovery/seq/config.json"), results / "task1/seq"
        recovery.recover_arm(run, results / "data", results / "task0", task1, tmp_path / "scratch", tmp_path / "recovery")
    assert all((tmp_path / stage / "metrics.parquet").is_file() for stage in ("pretrain", "task0", "recovery"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("view", "config", "inputs", "outputs"),
    [
        ("features", "views/seq/features.json", "pretrained task0 checkpoints metrics questions", "output output-points"),
        ("landscape", "views/seq/landscape.json", "task0 checkpoints metrics recovered questions", "output output-interpolation"),
        ("positions", "views/seq/positions.json", "task0 checkpoints questions", "output"),
        ("weights", "views/seq/weights.json", "pretrain task0 checkpoints", "output"),
        ("common_shift", "views/seq/common_shift.json", "data templates task0 task1", "output output-repair output-recall"),
    ],
)
def test_views(
    smoke_clone: Path, tmp_path: Path, pretended: PretendedDevice, monkeypatch, view: str, config: str, inputs: str, outputs: str
) -> None:
    results = smoke_clone / "results" / "smoke" / "seed0"
    known = {
        "data": results / "data",
        "questions": results / "data/items.parquet",
        "templates": smoke_clone / "resources/templates",
        "pretrained": results / "pretrain/model",
        "pretrain": results / "pretrain",
        "task0": results / "task0/model",
        "task1": results / "task1/seq",
        "checkpoints": results / "task1/seq/checkpoints",
        "metrics": results / "task1/seq/metrics.parquet",
        "recovered": results / "recovery/seq/checkpoints",
    }
    paths = {name: known[name] for name in inputs.split()} | {name: tmp_path / f"{name}.parquet" for name in outputs.split()}
    arguments = ["--config", str(results / config), *(str(each) for name, path in paths.items() for each in (f"--{name}", path))]
    monkeypatch.setattr(sys, "argv", [view, *arguments])
    main = runpy.run_path(str(SCRIPTS / f"view_{view}.py"))["main"]
    main.__globals__["pick_device"] = lambda: DEVICE
    with pretended:
        main()
    assert all(paths[name].is_file() for name in outputs.split())
