"""What holds for each Task 1 method alike, tried on the `EXAMPLES` of each folder in `methods`."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests import jobs, sections
from tests.conftest import TINY_GROUPS

from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.knobs import Arm, knobs_of, parse_arm
from forgetting.config.names import method_names
from forgetting.config.sections import Optimizer
from forgetting.config.steps import arm_training
from forgetting.data.items import Items
from forgetting.errors import CheckpointError
from forgetting.methods.base import Setting, build_method
from forgetting.methods.lamol import method as lamol
from forgetting.methods.lamol.pseudo import examples_of
from forgetting.model.checkpoints import build_model, load_checkpoint, load_weights, save_checkpoint
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, load_tokenizer
from forgetting.schemas.metrics import METRICS
from forgetting.stages import finetune as stage
from forgetting.stages import measurements
from forgetting.stages.finetune import finetune
from forgetting.stages.task0 import finetune_task0
from forgetting.tables import read_table
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.moments import MOMENTS
from forgetting.training.optimizer import learning_rate_factor
from forgetting.training.step import Hooks

ARMS: dict[str, dict[str, Any]] = {
    name: entry
    for method in method_names()
    if knobs_of(method).trained
    for name, entry in import_module(f"forgetting.methods.{method}").EXAMPLES.items()
}
UNLIKE = ("replay", "ewc", "projection")
"""Arms that say most of the others: other batches, another loss, other gradients."""
every_method = pytest.mark.parametrize("entry", ARMS.values(), ids=ARMS)


def test_every_example_is_of_its_own_method() -> None:
    for method in method_names():
        examples = import_module(f"forgetting.methods.{method}").EXAMPLES.values()
        assert examples and {parse_arm(entry).method for entry in examples} == {method}


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
    """Where half of a batch is stored questions, in the order of `seq` with batches of half the size."""
    method = build_method(parse_arm(entry))
    method.before_task(tiny_setting)
    batches, size = method.batches(), 4 if entry.get("mix") == "half" else 8
    of_seq = QuestionBatches(tiny_setting.task1.questions, size, tiny_setting.seed)
    for step in (0, 1, 17):
        ours, plain = batches.batch(step), of_seq.batch(step)
        width = plain.ids.shape[1]
        assert torch.equal(ours.ids[: len(plain.ids), :width], plain.ids)
        assert torch.equal(ours.ids, batches.batch(step).ids), "a pure function of the step"


# At the rate, the batch and the sizes of the weights of the laptop scale.
LAPTOP = sections.optimizer(learning_rate=1e-4, weight_decay=0.01)
SEQ_WITH_KNOBS: dict[str, dict[str, Any]] = {
    "seq-lr": {"method": "seq", "learning_rate": 4e-5},
    "seq-warmup": {"method": "seq", "warmup_steps": 15},
    "seq-decay": {"method": "seq", "weight_decay": 1.0},
    "seq-batch": {"method": "seq", "batch_size": 32},
    "seq-carried-state": {"method": "seq", "carried_state": True},
    "freeze-as-released": {"method": "freeze", "layers": 1, "rule": "as_released"},
    "gpm-vectors-only": {"method": "gradient_projection", "rule": "gpm", "hold": ["vectors"]},
    "gpm-rows-only": {"method": "gradient_projection", "rule": "gpm", "hold": ["rows"]},
}
EVERY_ARM = {name: entry for name, entry in (ARMS | SEQ_WITH_KNOBS).items() if name != "seq"}


@pytest.fixture(scope="module")
def theta_star(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that a Task 0 job has trained for a while, and the state of its optimizer: weights of 0.02 as in the laptop's."""
    folder = tmp_path_factory.mktemp("task0")
    vocabulary = load_tokenizer(tiny_data / "tokenizer").get_vocab_size()
    save_checkpoint(build_model(sections.model(hidden_size=64), vocabulary, seed=0), folder / "start")
    config = sections.task0(epochs=8, batch_size=16, optimizer=sections.optimizer(learning_rate=1e-3))
    run = jobs.task0(config)
    finetune_task0(run, tiny_data, folder / "start", folder / "scratch", folder / "out")
    return folder / "out" / "model"


@pytest.fixture(scope="module")
def moved_by(tiny_data: Path, theta_star: Path) -> Any:
    """By how much twenty steps of Task 1 of an arm move all weights, one vector; made by the job that trains it."""
    config = sections.task1(
        steps=20,
        batch_size=16,
        optimizer=LAPTOP,
        evaluate=[],
        evaluate_later=20,
        checkpoints=[],
        later_checkpoints=1,
        early_stop_accuracy=1.0,
    )
    start = load_weights(theta_star)

    def moved(entry: dict[str, Any], folder: Path) -> torch.Tensor:
        run = jobs.task1(config, entry, arm="tiny", every_checkpoint=False)
        finetune(run, tiny_data, [theta_star], folder / "scratch", folder / "out")
        end = load_weights(folder / "out/checkpoints/step-000020")
        return torch.cat([(end[name] - start[name]).flatten() for name in sorted(start)]).double()

    return moved


@pytest.fixture(scope="module")
def moved_by_seq(moved_by: Any, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return moved_by({"method": "seq"}, tmp_path_factory.mktemp("seq"))


@pytest.mark.long
@pytest.mark.parametrize("entry", EVERY_ARM.values(), ids=EVERY_ARM)
def test_every_arm_trains_otherwise_than_seq(
    moved_by: Any,
    moved_by_seq: torch.Tensor,
    tiny_data: Path,
    tiny_questions: Items,
    tmp_path: Path,
    entry: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After twenty steps by more than a hundredth of what `seq` moved: a thousand times what rounding leaves, and more than a rule whose
    effect is a factor of a squared displacement. A method that does nothing would fail."""
    if entry["method"] == "lamol":
        real = examples_of(tiny_questions.of("task0_train"), load_tokenizer(tiny_data / "tokenizer"))
        texts = ["".join(example) + END_OF_TEXT for example in real]
        monkeypatch.setattr(lamol, "sample_texts", lambda model, tokenizer, count, *others: texts[:count])
    difference = (moved_by(entry, tmp_path) - moved_by_seq).norm() / moved_by_seq.norm()
    assert difference > 0.01, f"differs by {difference:.2g} of what seq moved"


def test_seq_itself_would_fail_that_test(moved_by: Any, moved_by_seq: torch.Tensor, tmp_path: Path) -> None:
    assert torch.equal(moved_by({"method": "seq", "length": 1.0}, tmp_path), moved_by_seq)


def run_of(setting: Setting, entry: dict[str, Any], steps: int) -> FinetuneJob:
    config = setting.training.model_copy(update={"steps": steps, "early_stop_accuracy": 1.0})
    return jobs.task1(config, entry, arm="tiny")


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=name, marks=() if name in UNLIKE else pytest.mark.long) for name, entry in ARMS.items()]
)
def test_a_terminated_run_ends_as_an_undisturbed_one(
    tiny_setting: Setting, tiny_data: Path, tmp_path: Path, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    run = run_of(tiny_setting, entry, 12)
    finetune(run, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "whole")
    measure = measurements.evaluate_facts

    def terminate_at_the_second_evaluation(*arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(*arguments)

    calls: list[int] = []
    monkeypatch.setattr(measurements, "evaluate_facts", terminate_at_the_second_evaluation)
    with pytest.raises(SystemExit) as ended:
        finetune(run, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "resumed")
    assert ended.value.code == 128 + signal.SIGTERM
    assert not (tmp_path / "resumed").exists()
    finetune(run, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "resumed")
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

    monkeypatch.setattr(stage, "build_method", lambda arm: Keep())
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    with pytest.raises(KeyboardInterrupt):
        finetune(run_of(tiny_setting, ARMS["seq"], 5), tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "out")
    (setting,) = given
    assert set(setting.task0_train.split) == {"task0_train"}
    assert set(setting.task1.questions.split) == {"task1"}
    assert len(setting.held_out) == TINY_GROUPS.total - TINY_GROUPS.task0_train


def test_an_arm_with_a_rate_of_its_own_gives_it_to_its_method(
    tiny_setting: Setting, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    real = stage.build_method

    def spied(arm: Arm) -> Any:
        method = real(arm)
        monkeypatch.setattr(method, "before_task", lambda setting: (given.append(setting.training.optimizer.learning_rate), quit()))
        return method

    monkeypatch.setattr(stage, "build_method", spied)
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    run = run_of(tiny_setting, {"method": "seq", "learning_rate": 3e-3}, 5)
    with pytest.raises(SystemExit):
        finetune(run, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "out")
    assert given == [3e-3]


def one_step(model: Any, batches: QuestionBatches, optimizer: Optimizer, **plan: Any) -> dict[str, tuple[torch.Tensor, ...]]:
    """Train one step; by name, the weight before, its gradient after clipping, and the weight after."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    gradients: dict[str, torch.Tensor] = {}

    class Watch(Hooks):
        def on_gradient(self) -> None:
            gradients.update({name: weight.grad.clone() for name, weight in model.named_parameters()})

    train(model, Plan(1, batches, optimizer, sections.schedule(), frozenset(), lambda step: None, hooks=Watch(), **plan))
    length = torch.stack([gradient.double().norm() for gradient in gradients.values()]).norm()
    clip = min(1.0, optimizer.gradient_clip / (float(length) + 1e-6))
    return {
        name: (before[name].double(), clip * gradients[name].double(), weight.detach().double())
        for name, weight in model.named_parameters()
    }


def test_the_first_update_with_carried_state_is_adamws_with_the_moments_of_task_0(theta_star: Path, tiny_questions: Items) -> None:
    """m, v and t of Task 0, then one step of AdamW by hand: (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps), decay on matrices only."""
    saved, model = safetensors.torch.load_file(theta_star / MOMENTS), load_checkpoint(theta_star)
    batches = QuestionBatches(tiny_questions.of("task1"), 16, 0)
    for name, (before, gradient, after) in one_step(model, batches, LAPTOP, carried=theta_star / MOMENTS).items():
        count = int(saved[f"{name}.step"]) + 1
        assert count == 36 + 1, "steps of Task 0: 72 questions in batches of 16, 8 times"
        first = 0.9 * saved[f"{name}.exp_avg"].double() + 0.1 * gradient
        second = 0.999 * saved[f"{name}.exp_avg_sq"].double() + 0.001 * gradient**2
        step = first / (1 - 0.9**count) / ((second / (1 - 0.999**count)).sqrt() + 1e-6)
        expected = before * (1 - (1e-4 * 0.01 if before.ndim > 1 else 0)) - 1e-4 * step
        torch.testing.assert_close(after, expected, rtol=0, atol=3e-7)
        fresh = before - 1e-4 * gradient / (gradient.abs() + 1e-6)
        assert (after - fresh).abs().max() > 1e-5 or not gradient.any(), "far from the first step of a fresh Adam"


def test_moments_of_another_model_are_refused(theta_star: Path, tiny_model: Any, tiny_questions: Items, tmp_path: Path) -> None:
    batches = QuestionBatches(tiny_questions.of("task1"), 16, 0)
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: has no state of .* in its shape"):
        one_step(tiny_model, batches, LAPTOP, carried=theta_star / MOMENTS)
    (tmp_path / MOMENTS).write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: cannot be read"):
        one_step(tiny_model, batches, LAPTOP, carried=tmp_path / MOMENTS)


def test_knobs_of_an_arm_take_the_place_of_those_of_task_1(tiny_setting: Setting) -> None:
    """A warm-up over four steps goes up by a quarter of the rate a step; the batches of another size hold the same questions in order."""
    entry = {"method": "seq", "warmup_steps": 4, "learning_rate": 2e-3, "weight_decay": 0.3, "batch_size": 16}
    config = arm_training(tiny_setting.training, parse_arm(entry))
    rates = [config.optimizer.learning_rate * learning_rate_factor(config.schedule, step, config.steps) for step in range(6)]
    assert rates == pytest.approx([0.5e-3, 1e-3, 1.5e-3, 2e-3, 2e-3, 2e-3])
    assert (config.optimizer.weight_decay, config.batch_size) == (0.3, 16)
    assert arm_training(tiny_setting.training, parse_arm({"method": "seq"})) == tiny_setting.training
    double, plain = (QuestionBatches(tiny_setting.task1.questions, size, 0) for size in (16, 8))
    assert double.rows_at(1).tolist() == [*plain.rows_at(2), *plain.rows_at(3)]


def test_a_job_warms_up_where_its_arm_says_so(moved_by: Any, moved_by_seq: torch.Tensor, tmp_path: Path) -> None:
    moved_by({"method": "seq", "warmup_steps": 8}, tmp_path)
    metrics = read_table(tmp_path / "out/metrics.parquet", METRICS)
    rates = metrics[metrics["metric"] == "learning_rate"].sort_values("step")
    assert rates["value"].tolist() == pytest.approx([1e-4 * min(1.0, step / 8) for step in rates["step"]])
    assert set(range(1, 9)) <= set(rates["step"])
