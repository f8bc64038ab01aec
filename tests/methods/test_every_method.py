"""What holds for each Task 1 method alike: a new one need only be added to `ARMS`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from forgetting.arms import AnyArm, parse_arm
from forgetting.methods import build_method
from forgetting.methods.base import Setting
from forgetting.model import load_weights, save_checkpoint
from forgetting.run import Run
from forgetting.training import task1
from forgetting.training.task1 import finetune_task1

ARMS: dict[str, dict[str, Any]] = {
    "seq": {"method": "seq"},
    "replay": {"method": "replay", "share": 0.3, "mix": "batch"},
    "replay-ratio": {"method": "replay", "share": 0.3, "mix": "ratio"},
    "joint": {"method": "joint"},
    "freeze": {"method": "freeze", "layers": 1},
    "ewc": {"method": "ewc", "penalty": 1.0},
    "ewc-batch": {"method": "ewc", "penalty": 1.0, "fisher": "batch"},
    "lamol": {"method": "lamol", "pseudo_share": 0.2, "language_loss": 0.25},
    "projection": {"method": "gradient_projection", "rule": "exact", "repeats": 1},
    "projection-gpm": {"method": "gradient_projection", "rule": "gpm"},
    "projection-reference": {"method": "gradient_projection", "rule": "reference", "repeats": 1},
}
every_method = pytest.mark.parametrize("entry", ARMS.values(), ids=ARMS)


def test_no_method_is_left_out() -> None:
    known = {get_args(knobs.model_fields["method"].annotation)[0] for knobs in get_args(get_args(AnyArm)[0])}
    assert {entry["method"] for entry in ARMS.values()} == known - {"task_vector"}


@every_method
def test_preparing_leaves_the_model_as_it_was(tiny_setting: Setting, entry: dict[str, Any]) -> None:
    model = tiny_setting.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    build_method(parse_arm(entry)).before_task(tiny_setting)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


@every_method
def test_task1_questions_come_in_the_order_of_seq(tiny_setting: Setting, entry: dict[str, Any]) -> None:
    method = build_method(parse_arm(entry))
    method.before_task(tiny_setting)
    batches = method.batches()
    for step in (0, 1, 17):
        ours, plain = batches.batch(step), tiny_setting.task1.batch(step)
        width = plain.ids.shape[1]
        assert torch.equal(ours.ids[: len(plain.ids), :width], plain.ids)
        assert torch.equal(ours.ids, batches.batch(step).ids), "a pure function of the step"


def run_of(setting: Setting, entry: dict[str, Any], steps: int) -> Run:
    config = setting.training.model_copy(update={"steps": steps, "early_stop_accuracy": 1.0})
    return Run(scale="tiny", seed=0, stage="task1", arm="tiny", task1=config, method=entry)


@every_method
def test_a_terminated_run_ends_as_an_undisturbed_one(
    tiny_setting: Setting, tiny_data: Path, tmp_path: Path, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    run = run_of(tiny_setting, entry, 12)
    finetune_task1(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "whole")
    measure = task1.evaluate_facts

    def terminate_at_the_second_evaluation(*arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(*arguments)

    calls: list[int] = []
    monkeypatch.setattr(task1, "evaluate_facts", terminate_at_the_second_evaluation)
    with pytest.raises(SystemExit) as ended:
        finetune_task1(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "resumed")
    assert ended.value.code == 128 + signal.SIGTERM
    assert not (tmp_path / "resumed").exists()
    finetune_task1(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "resumed")
    for name in ("step-000012", "step-000005", "matched"):
        whole, resumed = (load_weights(tmp_path / folder / "checkpoints" / name) for folder in ("whole", "resumed"))
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert (tmp_path / "whole/facts.parquet").read_bytes() == (tmp_path / "resumed/facts.parquet").read_bytes()


def test_what_a_job_gives_its_method_has_no_held_out_question(
    tiny_setting: Setting, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting that the real job builds, not the fixture."""
    given: list[Setting] = []

    class Keep:
        def before_task(self, setting: Setting) -> None:
            given.append(setting)
            raise KeyboardInterrupt

    monkeypatch.setattr(task1, "build_method", lambda arm: Keep())
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    with pytest.raises(KeyboardInterrupt):
        finetune_task1(run_of(tiny_setting, ARMS["seq"], 5), tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "out")
    (setting,) = given
    assert set(setting.task0_train.group) == {"task0_train"}
    assert set(setting.task1.questions.group) == {"task1"}
    assert len(setting.held_out) == 44 - 12


def test_an_arm_with_a_rate_of_its_own_gives_it_to_its_method(
    tiny_setting: Setting, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    real = task1.build_method

    def spied(arm: AnyArm) -> Any:
        method = real(arm)
        monkeypatch.setattr(method, "before_task", lambda setting: (given.append(setting.training.optimizer.learning_rate), quit()))
        return method

    monkeypatch.setattr(task1, "build_method", spied)
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    run = run_of(tiny_setting, {"method": "seq", "learning_rate": 3e-3}, 5)
    with pytest.raises(SystemExit):
        finetune_task1(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "out")
    assert given == [3e-3]
