"""Every arm that is called "as released" does what the paper's public code does, written out here from its description.

Sizes are those of the laptop scale: displacements of the weights over steps 100 to 150 with a norm of about 2 over 4.7 million
weights, that is 0.015 for a row of 256, and gradients whose rows are of about the same size.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPTNeoXConfig

from forgetting.methods.base import Setting, build_method
from forgetting.methods.ewc import Knobs as Ewc
from forgetting.methods.gradient_projection import Knobs as GradientProjection
from forgetting.methods.gradient_projection import method as gradient_projection
from forgetting.methods.lamol import Knobs as Lamol
from forgetting.methods.lamol import method as lamol
from forgetting.methods.lamol.pseudo import examples_of
from forgetting.methods.replay import Knobs as Replay
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT
from forgetting.training.batches import question_batch

REFERENCE = GradientProjection(method="gradient_projection", rule="reference")


class TwoWeights(nn.Module):
    """A matrix and a vector, as wide as the laptop's model."""

    def __init__(self) -> None:
        super().__init__()
        self.config = GPTNeoXConfig()  # of a family that keeps a row of a matrix for each output
        self.matrix, self.vector = nn.Parameter(torch.zeros(64, 256)), nn.Parameter(torch.zeros(256))


def sized(generator: torch.Generator, *shape: int, rms: float) -> Tensor:
    return rms * torch.randn(shape, generator=generator)


def subtracted(gradient: list[float], direction: list[float], matrix: bool) -> list[float]:
    """What the released code makes of one row of a matrix, or of a vector: plain arithmetic on lists."""
    dot = sum(g * d for g, d in zip(gradient, direction, strict=True))
    of_direction = math.sqrt(sum(d * d for d in direction))
    factor = dot / (math.sqrt(sum(g * g for g in gradient)) * of_direction) if matrix else dot / of_direction
    return [g - factor * d for g, d in zip(gradient, direction, strict=True)]


def test_the_reference_projection_is_the_released_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    model = TwoWeights()
    direction = {"matrix": sized(generator, 64, 256, rms=9e-4), "vector": sized(generator, 256, rms=9e-4)}
    # As in training, where Task 1's gradient and its displacement share a component: a third of the gradient's length.
    gradients = {name: sized(generator, *d.shape, rms=1e-3) + 0.4 * d for name, d in direction.items()}
    asked: list[int] = []
    monkeypatch.setattr(gradient_projection, "alignment_direction", lambda setting, runs: (asked.append(runs), (direction, 0))[1])
    rule = gradient_projection.Reference(REFERENCE, SimpleNamespace(model=model))  # type: ignore[arg-type]
    model.matrix.grad, model.vector.grad = (gradients[name].clone() for name in direction)
    rule.on_gradient()
    rows = [subtracted(g, d, matrix=True) for g, d in zip(gradients["matrix"].tolist(), direction["matrix"].tolist(), strict=True)]
    torch.testing.assert_close(model.matrix.grad, torch.tensor(rows), rtol=0, atol=1e-8)
    vector = torch.tensor(subtracted(gradients["vector"].tolist(), direction["vector"].tolist(), matrix=False))
    torch.testing.assert_close(model.vector.grad, vector, rtol=0, atol=1e-8)
    along = [float((g * direction["matrix"]).sum(-1).median()) for g in (gradients["matrix"], model.matrix.grad)]
    assert along[1] < 0.7 * along[0], "far more than rounding goes away"
    assert asked == [10], "the mean of ten runs"


def test_our_own_rule_averages_three_runs_unless_told() -> None:
    assert GradientProjection(method="gradient_projection", rule="exact").runs == 3
    assert GradientProjection(method="gradient_projection", rule="reference", repeats=2).runs == 2


def test_the_batch_fisher_of_the_arm_is_the_released_one(tiny_setting: Setting) -> None:
    """Squared gradients of the mean loss of whole batches, by autograd on logits, up to the constant that makes their mean 1."""
    method = build_method(Ewc(method="ewc", penalty=1.0, fisher="batch", questions=20))
    method.before_task(tiny_setting)
    model, questions = tiny_setting.model, gradient_order(tiny_setting, 20)
    expected = [torch.zeros_like(weight) for weight in model.parameters()]
    for first in range(0, 20, 8):
        batch = question_batch(questions, np.arange(first, min(first + 8, 20)))
        logits = model(input_ids=batch.ids).logits[batch.row, batch.position]
        loss = -logits.log_softmax(-1).gather(1, batch.ids[batch.row, batch.position + 1][:, None]).mean()
        for total, gradient in zip(expected, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total += gradient**2
    scale = sum(float(each.sum()) for each in expected) / sum(each.numel() for each in expected)
    for (name, _), each in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(method.terms[0].fisher[name], each / scale, rtol=1e-3, atol=1e-4)


def gradient_order(setting: Setting, count: int):
    return setting.task0_train.select(np.random.default_rng([setting.seed, 8]).permutation(len(setting.task0_train))[:count])


def test_replay_in_half_of_each_batch_is_the_released_one(tiny_setting: Setting) -> None:
    """The reference halves the batch of Task 1, fills it up from the store, and takes twice the steps: as many Task 1 questions, in
    batches of the usual size."""
    method = build_method(Replay(method="replay", share=0.25, mix="half", length=2.0))
    method.before_task(tiny_setting)
    batches, task1 = method.batches(), tiny_setting.task1
    new: list[int] = []
    for step in range(24):
        rows = batches.rows_at(step)
        assert len(rows) == len(batches.batch(step).ids) == 8
        kinds = list(batches.both.split[rows])
        assert kinds == ["task1"] * 4 + ["task0_train"] * 4
        new += rows[:4].tolist()
    usual = np.concatenate([task1.rows_at(step) for step in range(12)])
    assert new == usual.tolist(), "the questions of half as many whole batches, in their order"


def texts_of(setting: Setting) -> list[str]:
    return ["".join(example) + END_OF_TEXT for example in examples_of(setting.task0_train, setting.tokenizer)]


def lamol_batches(setting: Setting, monkeypatch: pytest.MonkeyPatch, texts: list[str], **knobs: bool):
    monkeypatch.setattr(lamol, "sample_texts", lambda *arguments: texts)
    method = build_method(Lamol(method="lamol", pseudo_share=0.25, language_loss=0.25, **knobs))
    method.before_task(setting)
    return method, method.batches()


@pytest.mark.parametrize(("duplicates", "shares"), [(True, [18, 6]), (False, [12, 12])])
def test_lamol_mixes_gamma_and_keeps_what_it_sampled_twice(
    tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch, duplicates: bool, shares: list[int]
) -> None:
    """24 texts to 96 questions of Task 1: of two questions, one was sampled three times as often as the other. In one pass over Task 1 (12
    steps of 8) the model meets 24 of them, as often as they were sampled."""
    first, second = texts_of(tiny_setting)[:2]
    method, batches = lamol_batches(tiny_setting, monkeypatch, 18 * [first] + 6 * [second], duplicates=duplicates)
    seen = [example for step in range(12) for example in added(batches, step, tiny_setting)]
    assert len(seen) == 24
    assert [seen.count(text.removesuffix(END_OF_TEXT)) for text in (first, second)] == shares
    assert method.counts["pseudo_used"] == 2 and method.counts["pseudo_buffer"] == (24 if duplicates else 2)


def added(batches, step: int, setting: Setting) -> list[str]:
    """The texts that a batch has beside its eight questions of Task 1."""
    rows = batches.rows_at(step)[8:]
    return ["".join(example) for example in examples_of(batches.both.select(rows), setting.tokenizer)]


def test_lamol_mixes_gamma_even_when_few_texts_are_usable(tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nineteen of 24 cannot be read: the other five come up more often."""
    usable = texts_of(tiny_setting)[:5]
    _, batches = lamol_batches(tiny_setting, monkeypatch, usable + 19 * ["rubbish" + END_OF_TEXT])
    counts = [len(batches.rows_at(step)) - 8 for step in range(60)]
    assert set(counts) == {2}
    seen = [example for step in range(60) for example in added(batches, step, tiny_setting)]
    assert {seen.count(text.removesuffix(END_OF_TEXT)) for text in usable} == {24}
