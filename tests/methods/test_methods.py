"""What each Task 1 method promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forgetting.config import Arm, Optimizer, Run, Schedule, Task1
from forgetting.methods import build_method
from forgetting.methods.replay import stored_persons
from forgetting.model import load_checkpoint, load_weights, save_checkpoint
from forgetting.tables import METRICS, read_table
from forgetting.tokens import Questions
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, freeze, train
from forgetting.training.optimizer import build_optimizer
from forgetting.training.task1 import finetune_task1

TRAINING = Optimizer(learning_rate=1e-2, weight_decay=0.1)


def trained(model, method, questions: Questions, steps: int = 6):
    """`model` after some steps of Task 1 under `method`."""
    batches = method.batches(QuestionBatches(questions.of_groups("task1"), 8, 0), questions.of_groups("task0_train"))
    train(model, Plan(steps, batches, TRAINING, Schedule(), frozenset({steps}), lambda step: None, "float32", method.trainable))
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_tensors_are_bit_identical_and_absent_from_the_optimizer(tiny_model, tiny_questions, layers: int) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    method = build_method(Arm(method="freeze", layers=layers), seed=0)
    after = trained(tiny_model, method, tiny_questions)
    frozen = {
        name for name in before if name.startswith("gpt_neox.embed_in") or any(f"gpt_neox.layers.{i}." in name for i in range(layers))
    }
    for name in before:
        assert torch.equal(before[name], after[name]) == (name in frozen), name
    owned = {
        id(p) for o in build_optimizer(freeze(tiny_model, method.trainable), TRAINING) for group in o.param_groups for p in group["params"]
    }
    assert not any(id(p) in owned for name, p in tiny_model.named_parameters() if name in frozen)


def test_layer_1_does_not_freeze_layers_10_and_11() -> None:
    method = build_method(Arm(method="freeze", layers=2), seed=0)
    trainable = [i for i in range(12) if method.trainable(f"gpt_neox.layers.{i}.mlp.dense_h_to_4h.weight")]
    assert trainable == list(range(2, 12))


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 1.0])
def test_the_store_is_the_stated_share_of_persons(tiny_questions: Questions, share: float) -> None:
    train_questions = tiny_questions.of_groups("task0_train")
    stored = stored_persons(train_questions, share, seed=0)
    assert len(stored) == max(1, round(share * 12))
    assert set(stored) <= set(train_questions.person)
    assert set(stored) <= set(stored_persons(train_questions, 1.0, seed=0))


@pytest.mark.parametrize(("mix", "share", "per_step"), [("batch", 0.25, 8.0), ("ratio", 0.5, 8 * 6 / 16), ("ratio", 0.25, 8 * 3 / 16)])
def test_replay_batches_hold_exactly_the_stated_share(tiny_questions: Questions, mix: str, share: float, per_step: float) -> None:
    method = build_method(Arm(method="replay", share=share, mix=mix), seed=0)
    train_questions, task1 = tiny_questions.of_groups("task0_train"), tiny_questions.of_groups("task1")
    batches = method.batches(QuestionBatches(task1, 8, 0), train_questions)
    stored = set(stored_persons(train_questions, share, seed=0))
    drawn = []
    for step in range(48):
        rows = batches.rows_at(step)
        assert np.array_equal(rows[:8], QuestionBatches(task1, 8, 0).rows_at(step))
        assert len(batches.batch(step).ids) == len(rows)
        drawn.extend(batches.both.person[rows[8:]])
    assert len(drawn) == 48 * per_step
    assert set(drawn) == stored


def test_all_arms_see_the_same_task1_questions_in_the_same_order(tiny_questions: Questions) -> None:
    arms = [Arm(method="seq"), Arm(method="freeze", layers=1), Arm(method="replay", share=0.5, mix="batch")]
    task1 = tiny_questions.of_groups("task1")
    orders = []
    for arm in arms:
        batches = build_method(arm, seed=0).batches(QuestionBatches(task1, 8, 0), tiny_questions.of_groups("task0_train"))
        orders.append([batches.rows_at(step)[:8].tolist() for step in range(30)])
    assert orders[0] == orders[1] == orders[2]


def test_seq_is_plain_fine_tuning_bit_for_bit(tiny_model, tiny_questions: Questions) -> None:
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    method = trained(tiny_model, build_method(Arm(method="seq"), seed=0), tiny_questions)
    tiny_model.load_state_dict(start)
    train(
        tiny_model,
        Plan(6, QuestionBatches(tiny_questions.of_groups("task1"), 8, 0), TRAINING, Schedule(), frozenset({6}), lambda step: None),
    )
    assert all(torch.equal(method[name], value) for name, value in tiny_model.state_dict().items())


def run_of(steps: int, threshold: float = 0.99) -> Run:
    config = Task1(
        steps=steps,
        batch_size=8,
        optimizer=TRAINING,
        early_stop_accuracy=threshold,
        evaluate=[(10, 5)],
        evaluate_later=20,
        checkpoints=[(10, 5)],
        later_checkpoints=1,
    )
    return Run(scale="tiny", seed=0, stage="task1", arm="seq", task1=config, method=Arm(method="seq"))


@pytest.fixture
def start(tiny_model, tmp_path: Path) -> Path:
    save_checkpoint(tiny_model, tmp_path / "start")
    return tmp_path / "start"


def test_a_task1_job_writes_its_checkpoints_and_an_early_stop_is_a_prefix(start: Path, tiny_data: Path, tmp_path: Path) -> None:
    """The early-stopped arm equals a run that really ends there."""
    finetune_task1(run_of(80, threshold=0.02), tiny_data, start, tmp_path / "scratch", tmp_path / "whole")
    metrics = read_table(tmp_path / "whole" / "metrics.parquet", METRICS)
    stopped = int(metrics.loc[metrics["metric"] == "early_stop_step", "value"].item())
    assert 0 < stopped < 80
    finetune_task1(run_of(stopped, threshold=1.0), tiny_data, start, tmp_path / "scratch", tmp_path / "short")
    early, ended = (load_weights(tmp_path / name) for name in ("whole/checkpoints/matched", f"short/checkpoints/step-{stopped:06d}"))
    assert all(torch.equal(early[name], ended[name]) for name in early)
    assert {folder.name for folder in (tmp_path / "whole" / "checkpoints").iterdir()} == {
        "step-000005",
        "step-000010",
        "step-000080",
        "matched",
    }
    assert not (tmp_path / "scratch").exists()
    load_checkpoint(tmp_path / "whole" / "checkpoints" / "step-000080")


def test_an_early_stop_that_is_never_reached_is_recorded_as_such(start: Path, tiny_data: Path, tmp_path: Path) -> None:
    finetune_task1(run_of(6, threshold=1.0), tiny_data, start, tmp_path / "scratch", tmp_path / "out")
    metrics = read_table(tmp_path / "out" / "metrics.parquet", METRICS)
    assert np.isnan(metrics.loc[metrics["metric"] == "early_stop_step", "value"].item())
    matched, end = (load_weights(tmp_path / "out" / "checkpoints" / name) for name in ("matched", "step-000006"))
    assert all(torch.equal(matched[name], end[name]) for name in matched)
