"""What every Task 1 method promises, and what `seq`, `replay`, `joint` and `freeze` do."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from tests import jobs, sections
from tests.study import ROOT

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.knobs import Arm, knobs_of
from forgetting.config.names import METHODS, method_names
from forgetting.data.items import Items
from forgetting.methods.base import Method, Setting, build_method
from forgetting.methods.freeze import Knobs as Freeze
from forgetting.methods.freeze.method import frozen_layers
from forgetting.methods.joint import Knobs as Joint
from forgetting.methods.replay import Knobs as Replay
from forgetting.methods.replay.method import question_bytes, stored_units
from forgetting.methods.seq import Knobs as Sequential
from forgetting.model.checkpoints import load_checkpoint, load_weights, save_checkpoint
from forgetting.schemas.metrics import METRICS
from forgetting.stages.finetune import finetune
from forgetting.tables import read_table
from forgetting.training.loop import Plan, freeze, train
from forgetting.training.optimizer import build_optimizer

SEQ = Sequential(method="seq")


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def prepared(arm: Arm, setting: Setting) -> Method:
    method = build_method(arm)
    method.before_task(setting)
    return method


def trained(arm: Arm, setting: Setting, steps: int = 6) -> dict[str, torch.Tensor]:
    """The weights after some steps of Task 1 under a method."""
    method = prepared(arm, setting)
    plan = Plan(
        steps, method.batches(), setting.training.optimizer, sections.schedule(), frozenset({steps}), lambda step: None, hooks=method
    )
    train(setting.model, plan)
    return weights(setting.model)


@pytest.mark.parametrize("name", method_names())
def test_a_method_is_a_folder_with_its_knobs_and_itself(name: str) -> None:
    """Where nothing is trained, there is no `Method`."""
    knobs = knobs_of(name)
    assert get_args(knobs.model_fields["method"].annotation) == (name,)
    assert issubclass(import_module(f"forgetting.methods.{name}.method").METHOD, Method) if knobs.trained else True
    assert (METHODS / name / "method.py").is_file() == knobs.trained


def test_knobs_and_looks_need_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys; sys.path.insert(0, 'workflow')\n"
        "from forgetting.config.arms import KNOBS\nfrom forgetting.config.names import families\n"
        "assert KNOBS and families() and not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "arm", [Freeze(method="freeze", layers=n) for n in (0, 1, 2)] + [Freeze(method="freeze", layers=1, rule="as_released")]
)
def test_frozen_tensors_are_bit_identical_and_absent_from_the_optimizer(tiny_setting: Setting, arm: Freeze) -> None:
    model = tiny_setting.model
    before = weights(model)
    after = trained(arm, tiny_setting)
    frozen = {
        name for name in before if name.startswith("gpt_neox.embed_in") or any(f"gpt_neox.layers.{i}." in name for i in range(arm.layers))
    }
    for name in before:
        assert torch.equal(before[name], after[name]) == (name in frozen), name
    parameters = freeze(model, prepared(arm, tiny_setting).trainable)
    owned = {id(p) for split in build_optimizer(parameters, tiny_setting.training.optimizer).param_groups for p in split["params"]}
    assert not any(id(p) in owned for name, p in model.named_parameters() if name in frozen)


def test_layers_can_be_frozen_without_the_embedding(tiny_setting: Setting) -> None:
    before = weights(tiny_setting.model)
    after = trained(Freeze(method="freeze", layers=1, embedding=False), tiny_setting)
    assert {name for name in before if torch.equal(before[name], after[name])} == {n for n in before if "layers.0." in n}


def test_exact_layers_are_numbers_and_not_substrings() -> None:
    assert frozen_layers(Freeze(method="freeze", layers=2), 12) == {0, 1}


@pytest.mark.parametrize(
    ("bottom", "layers", "frozen"),
    [
        (1, 12, {0}),
        (2, 12, {0, 1, 10, 11}),
        (7, 12, {0, 1, 2, 3, 4, 5, 6, 10, 11}),
        (2, 32, {0, 1, *range(10, 20)}),
        (3, 32, {0, 1, 2, *range(10, 30)}),
        (9, 32, {*range(9), *range(10, 32)}),
        (1, 4, {0}),
        (2, 4, {0, 1, 3}),
        (2, 6, {0, 1, 5}),
    ],
)
def test_as_released_freezes_what_the_reference_froze(bottom: int, layers: int, frozen: set[int]) -> None:
    """Up to 12 and 32 layers: what its code selects, found by running the substring rule; below 10 layers: our generalisation."""
    assert frozen_layers(Freeze(method="freeze", layers=bottom, rule="as_released"), layers) == frozen
    if layers > 10:
        found = {i for i in range(layers) if any(f"layers.{chosen}" in f"gpt_neox.layers.{i}.mlp" for chosen in range(bottom))}
        assert found == frozen


@pytest.mark.parametrize(("share", "units"), [(0.01, 1), (0.05, 1), (0.25, 3), (0.5, 6), (0.8, 10), (1.0, 12)])
def test_the_store_is_the_stated_share_of_persons(tiny_questions: Items, share: float, units: int) -> None:
    """Of 12; rounded to whole persons, never none."""
    train_questions = tiny_questions.of("task0_train")
    stored = stored_units(train_questions, share, seed=0)
    assert len(stored) == units
    assert set(stored) <= set(train_questions.unit)
    assert set(stored) <= set(stored_units(train_questions, 1.0, seed=0))


@pytest.mark.parametrize(
    ("arm", "share", "per_step"),
    [
        (Replay(method="replay", share=0.25, mix="batch"), 0.25, Fraction(8)),
        (Replay(method="replay", share=0.5, mix="ratio"), 0.5, Fraction(8 * 6, 16)),
        (Replay(method="replay", share=0.25, mix="ratio"), 0.25, Fraction(8 * 3, 16)),
        (Joint(method="joint"), 1.0, Fraction(8 * 12, 16)),
    ],
)
def test_mixed_batches_hold_exactly_the_stated_share(tiny_setting: Setting, arm: Arm, share: float, per_step: Fraction) -> None:
    method = prepared(arm, tiny_setting)
    batches = method.batches()
    store = tiny_setting.task0_train.of_units(stored_units(tiny_setting.task0_train, share, seed=0))
    drawn = []
    for step in range(48):
        rows = batches.rows_at(step)
        assert np.array_equal(rows[:8], tiny_setting.task1.rows_at(step))
        assert abs(len(rows) - 8 - per_step) < 1
        assert len(batches.batch(step).ids) == len(rows)
        drawn.extend(batches.both.unit[rows[8:]])
    assert len(drawn) == 48 * per_step
    assert set(drawn) == set(store.unit)
    assert method.stored_bytes == question_bytes(store) == 4 * int((store.prompt_length + store.answer_length).sum())


def test_seq_is_plain_fine_tuning_bit_for_bit(tiny_setting: Setting) -> None:
    start = weights(tiny_setting.model)
    by_method = trained(SEQ, tiny_setting)
    tiny_setting.model.load_state_dict(start)
    optimizer = tiny_setting.training.optimizer
    train(tiny_setting.model, Plan(6, tiny_setting.task1, optimizer, sections.schedule(), frozenset({6}), lambda step: None))
    assert all(torch.equal(by_method[name], value) for name, value in tiny_setting.model.state_dict().items())


def test_a_freeze_that_freezes_nothing_is_seq_bit_for_bit(tiny_setting: Setting) -> None:
    start = weights(tiny_setting.model)
    plain = trained(SEQ, tiny_setting)
    tiny_setting.model.load_state_dict(start)
    nothing = trained(Freeze(method="freeze", layers=0, embedding=False), tiny_setting)
    assert all(torch.equal(plain[name], nothing[name]) for name in plain)


def run_of(setting: Setting, steps: int, threshold: float = 0.99, every: bool = True) -> FinetuneJob:
    config = setting.training.model_copy(update={"steps": steps, "early_stop_accuracy": threshold})
    return jobs.task1(config, every_checkpoint=every)


@pytest.fixture
def start(tiny_model, tmp_path: Path) -> Path:
    save_checkpoint(tiny_model, tmp_path / "start")
    return tmp_path / "start"


def test_a_task1_job_writes_its_checkpoints_and_an_early_stop_is_a_prefix(
    tiny_setting: Setting, start: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """The early-stopped arm equals a run that really ends there."""
    finetune(run_of(tiny_setting, 80, threshold=0.02), tiny_data, [start], tmp_path / "scratch", tmp_path / "whole")
    metrics = read_table(tmp_path / "whole" / "metrics.parquet", METRICS)
    stopped = int(metrics.loc[metrics["metric"] == "early_stop_step", "value"].item())
    assert 0 < stopped < 80
    finetune(run_of(tiny_setting, stopped, threshold=1.0), tiny_data, [start], tmp_path / "scratch", tmp_path / "short")
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


def test_an_early_stop_that_is_never_reached_is_recorded_as_such(
    tiny_setting: Setting, start: Path, tiny_data: Path, tmp_path: Path
) -> None:
    finetune(run_of(tiny_setting, 6, threshold=1.0), tiny_data, [start], tmp_path / "scratch", tmp_path / "out")
    metrics = read_table(tmp_path / "out" / "metrics.parquet", METRICS)
    assert np.isnan(metrics.loc[metrics["metric"] == "early_stop_step", "value"].item())
    matched, end = (load_weights(tmp_path / "out" / "checkpoints" / name) for name in ("matched", "step-000006"))
    assert all(torch.equal(matched[name], end[name]) for name in matched)


def test_an_arm_without_curve_or_view_keeps_three_checkpoints_and_the_same_measurements(
    tiny_setting: Setting, start: Path, tiny_data: Path, tmp_path: Path
) -> None:
    for every in (True, False):
        finetune(run_of(tiny_setting, 160, every=every), tiny_data, [start], tmp_path / "scratch", tmp_path / str(every))
    assert {folder.name for folder in (tmp_path / "False" / "checkpoints").iterdir()} == {"step-000150", "step-000160", "matched"}
    assert (tmp_path / "False" / "facts.parquet").read_bytes() == (tmp_path / "True" / "facts.parquet").read_bytes()


def test_the_cost_of_a_run_is_recorded(start: Path, tiny_setting: Setting, tiny_data: Path, tmp_path: Path) -> None:
    run = run_of(tiny_setting, 10).model_copy(update={"method": {"method": "replay", "share": 0.5, "mix": "batch"}})
    finetune(run, tiny_data, [start], tmp_path / "scratch", tmp_path / "out")
    rows = read_table(tmp_path / "out" / "metrics.parquet", METRICS).set_index("metric")["value"]
    assert rows["trained_rows"] == 10 * 16
    assert rows["prepared_rows"] == 0
    assert rows["stored_bytes"] > 0
    assert rows["trained_parameters"] == sum(p.numel() for p in tiny_setting.model.parameters())
