"""The task vector: exact at its ends, linear between them, and a run like any other for what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests import jobs

from forgetting.methods.base import Setting
from forgetting.methods.task_vector import Knobs as TaskVector
from forgetting.model.checkpoints import load_weights, save_checkpoint
from forgetting.schemas.metrics import METRICS
from forgetting.stages.finetune import finetune
from forgetting.stages.merging import apply_task_vector, without_task_vector
from forgetting.tables import read_table


def random_weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"a": torch.randn(50, 20, generator=generator) * 3, "b": torch.randn(7, generator=generator) * 1e-3}


def test_alpha_one_returns_the_start_exactly() -> None:
    end, start = random_weights(0), random_weights(1)
    back = without_task_vector(end, end, start, 1.0)
    assert all(torch.equal(back[name], start[name]) for name in start)


def test_alpha_zero_changes_nothing() -> None:
    end, start = random_weights(0), random_weights(1)
    same = without_task_vector(end, end, start, 0.0)
    assert all(torch.equal(same[name], end[name]) for name in end)


@pytest.mark.parametrize("alpha", [-0.5, 0.22, 0.7])
def test_formula(alpha: float) -> None:
    weights, end, start = random_weights(0), random_weights(1), random_weights(2)
    found = without_task_vector(weights, end, start, alpha)
    for name in weights:
        expected = weights[name].double() - alpha * (end[name].double() - start[name].double())
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-6)


def test_arm_is_scored_at_every_checkpoint_of_its_base(tiny_setting: Setting, tiny_data: Path, tmp_path: Path) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    config = tiny_setting.training.model_copy(update={"steps": 20, "early_stop_accuracy": 1.0})
    base = jobs.task1(config)
    finetune(base, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "seq")
    for alpha, like in ((0.0, "seq"), (1.0, "start")):
        arm = TaskVector(method="task_vector", alpha=alpha)
        run = base.model_copy(update={"arm": "vector", "method": arm.model_dump(), "every_checkpoint": False})
        apply_task_vector(run, tiny_data, tmp_path / "start", tmp_path / "seq", tmp_path / "out")
        found, plain = (read_table(tmp_path / name / "metrics.parquet", METRICS) for name in ("out", "seq"))
        found, plain = (frame[frame["metric"] == "answer_nll"].set_index(["step", "split", "kind"])["value"] for frame in (found, plain))
        assert set(found.index.get_level_values("step")) == {0, 5, 10, 20}
        expected = plain.loc[found.index] if like == "seq" else plain.loc[[(0, *key[1:]) for key in found.index]]
        np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-5)
        kept = load_weights(tmp_path / "out" / "checkpoints" / "step-000020")
        for name, value in load_weights(tmp_path / ("seq/checkpoints/step-000020" if like == "seq" else "start")).items():
            assert torch.equal(kept[name], value)


def test_fixed_end_of_the_vector(tiny_setting: Setting, tiny_data: Path, tmp_path: Path) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    config = tiny_setting.training.model_copy(update={"steps": 20, "early_stop_accuracy": 1.0})
    base = jobs.task1(config)
    finetune(base, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "seq")
    run = base.model_copy(update={"method": {"method": "task_vector", "alpha": 0.5, "vector_end": 0.5}})
    apply_task_vector(run, tiny_data, tmp_path / "start", tmp_path / "seq", tmp_path / "out")
    start, middle, end = (load_weights(tmp_path / name) for name in ("start", "seq/checkpoints/step-000010", "seq/checkpoints/step-000020"))
    kept = load_weights(tmp_path / "out" / "checkpoints" / "step-000020")
    for name in kept:
        torch.testing.assert_close(kept[name], end[name] - 0.5 * (middle[name] - start[name]), rtol=1e-5, atol=1e-6)
