"""Elastic weight consolidation: what is added to the loss, and what it does to training."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tests import sections
from torch import Tensor

from forgetting.data.items import Items
from forgetting.methods.base import Setting, build_method
from forgetting.methods.ewc import Knobs as Ewc
from forgetting.methods.ewc.method import quadratic_penalty
from forgetting.methods.seq import Knobs as Sequential
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.training.batches import QuestionBatches
from forgetting.training.fisher import diagonal_fisher, fisher_mean, sample_questions
from forgetting.training.loop import Plan, train

OPTIMIZER = sections.optimizer(learning_rate=1e-2, weight_decay=0.1)
TRAINING = sections.task1(
    steps=8, batch_size=8, optimizer=OPTIMIZER, evaluate=[(10, 5)], evaluate_later=20, checkpoints=[(10, 5)], later_checkpoints=1
)


@pytest.fixture
def setting(tiny_model, tiny_questions: Items, tiny_data: Path) -> Setting:
    """What a method gets when training starts from `tiny_model`."""
    task1 = QuestionBatches(tiny_questions.of("task1"), TRAINING.batch_size, 0)
    tokenizer = load_tokenizer(tiny_data / "tokenizer")
    return Setting(tiny_model, tiny_questions.of("task0_train"), task1, TRAINING, "float32", 0, tokenizer, frozenset())


def trained(setting: Setting, method, steps: int = TRAINING.steps) -> dict[str, Tensor]:
    """Weights after some steps of Task 1 under `method`, from those that the model has; the model gets these back."""
    start = copy.deepcopy(setting.model.state_dict())
    method.before_task(setting)
    train(setting.model, Plan(steps, method.batches(), OPTIMIZER, sections.schedule(), frozenset({steps}), lambda step: None, hooks=method))
    after = copy.deepcopy(setting.model.state_dict())
    setting.model.load_state_dict(start)
    return after


def ewc(penalty: float, **knobs):
    return build_method(Ewc(method="ewc", penalty=penalty, **knobs))


def test_the_penalty_and_its_gradient_against_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    weights, anchor, fisher = ([torch.rand(shape, generator=generator, dtype=torch.float64) for shape in ((4, 3), (5,))] for _ in range(3))
    for weight in weights:
        weight.requires_grad_()
    penalty = quadratic_penalty(weights, anchor, fisher, 7.0)
    rows = [
        row for each in zip(weights, anchor, fisher, strict=True) for row in zip(*(part.flatten().tolist() for part in each), strict=True)
    ]
    assert penalty.item() == pytest.approx(3.5 * sum(f * (w - a) ** 2 for w, a, f in rows), rel=1e-12)
    (3 * penalty).backward()
    found = torch.cat([weight.grad.flatten() for weight in weights]).tolist()
    assert found == pytest.approx([3 * 7.0 * f * (w - a) for w, a, f in rows], rel=1e-12)
    assert torch.autograd.gradcheck(lambda *given: quadratic_penalty(list(given), anchor, fisher, 7.0), weights)


def test_the_loss_is_that_of_task1_plus_the_penalty(setting: Setting) -> None:
    method = ewc(5.0)
    method.before_task(setting)
    loss = torch.tensor(2.0)
    assert method.on_loss(loss).item() == 2.0
    fisher = diagonal_fisher(setting.model, sample_questions(setting.task0_train, 1000, 0))
    mean = fisher_mean(fisher)
    start = copy.deepcopy(setting.model.state_dict())
    with torch.no_grad():
        for parameter in setting.model.parameters():
            parameter.add_(torch.randn_like(parameter))
    expected = 0.0
    for name, parameter in setting.model.named_parameters():
        expected += 2.5 * float((fisher[name].double() / mean * (parameter.detach().double() - start[name].double()) ** 2).sum())
    assert method.on_loss(loss).item() == pytest.approx(2.0 + expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["example", "batch"])
def test_no_penalty_is_seq_bit_for_bit(setting: Setting, kind: str) -> None:
    method = ewc(0.0, fisher=kind)
    with_hook, plain = trained(setting, method), trained(setting, build_method(Sequential(method="seq")))
    assert all(torch.equal(with_hook[name], plain[name]) for name in plain)
    assert any(not torch.equal(plain[name], value) for name, value in setting.model.state_dict().items())


def test_a_larger_penalty_keeps_the_weights_that_matter_closer(setting: Setting) -> None:
    start = copy.deepcopy(setting.model.state_dict())
    important, moved = [], []
    for penalty in (0.0, 1.0, 1e4):
        method = ewc(penalty)
        after = trained(setting, method, steps=30)
        matter = {name: each >= torch.quantile(each, 0.9) for name, each in method.terms[0].fisher.items() if each.ndim == 2}
        distance = {name: (after[name] - start[name]).square() for name in matter}
        important.append(sum(float(distance[name][rows].sum()) for name, rows in matter.items()))
        moved.append(sum(float((each * (after[name] - start[name]).square()).sum()) for name, each in method.terms[0].fisher.items()))
    assert moved[0] > moved[1] > 10 * moved[2]
    assert important[2] < 0.5 * important[0]


def test_only_task0_train_is_read_before_the_task(setting: Setting) -> None:
    """Nothing of Task 1 can leak in: there is none. The number of questions and the batch size are those of the config."""
    without = Setting(**(vars(setting) | {"task1": None}))
    for kind, questions in (("example", 1000), ("example", 9), ("batch", 20)):
        method = ewc(1.0, fisher=kind, questions=questions)
        method.before_task(without)
        chosen = sample_questions(setting.task0_train, questions, setting.seed)
        expected = diagonal_fisher(setting.model, chosen, kind, TRAINING.batch_size)
        assert set(chosen.split) == {"task0_train"}
        assert method.prepared_rows == len(chosen) == min(questions, len(setting.task0_train))
        assert method.after_task() == {"fisher_mean": fisher_mean(expected)}
        assert all(torch.equal(each, expected[name] / fisher_mean(expected)) for name, each in method.terms[0].fisher.items())


def test_the_penalty_is_not_part_of_the_fisher_and_preparing_again_gives_the_same(setting: Setting) -> None:
    """As when a job is resumed: a method that has a Fisher already, and a huge penalty."""
    method, other = ewc(1e6), ewc(0.0)
    for each in (method, method, other):
        each.before_task(setting)
    assert all(torch.equal(value, other.terms[0].fisher[name]) for name, value in method.terms[0].fisher.items())


def test_what_is_kept_is_one_fisher_and_one_copy_that_does_not_follow_the_model(setting: Setting) -> None:
    start = copy.deepcopy(setting.model.state_dict())
    method = ewc(1.0)
    trained(setting, method)
    assert method.stored_bytes == 2 * 4 * sum(parameter.numel() for parameter in setting.model.parameters())
    assert all(torch.equal(value, start[name]) for name, value in method.terms[0].anchor.items())
    assert not any(value.requires_grad for kept in (method.terms[0].anchor, method.terms[0].fisher) for value in kept.values())
