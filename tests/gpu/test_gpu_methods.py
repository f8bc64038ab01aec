"""Every method of Task 1 trains on a GPU, and answers are judged there as on the CPU."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests import sections
from tests.gpu.conftest import Take
from tests.methods.test_every_method import every_method
from tests.training.test_step import plan_of
from transformers import PreTrainedModel

from forgetting.config.knobs import parse_arm
from forgetting.data.items import Items
from forgetting.evaluation.exact import score
from forgetting.methods.base import Setting, build_method
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train

STEPS = {"cpu": 6, "cuda": 20}


@pytest.mark.long
@every_method
def test_methods_learn_the_same_by_fast_steps(tiny_setting: Setting, device, take: Take, entry: dict[str, Any]) -> None:
    """On a GPU in half precision and recorded, penalties, projections and all; on the CPU in single precision."""
    precision = "bf16" if device.type == "cuda" else "float32"
    steps, losses = STEPS[device.type], []
    for fast in (False, True):
        take(fast=False)  # what comes before may train for long, and rounding would grow
        setting = replace(tiny_setting, model=deepcopy(tiny_setting.model).to(device), precision=precision)
        method = build_method(parse_arm(entry))
        method.before_task(setting)
        take(fast)
        training = setting.training
        every = frozenset(range(1, steps + 1))
        plan = Plan(steps, method.batches(), training.optimizer, training.schedule, every, lambda step: None, precision, method)
        losses.append(train(setting.model, plan).losses)
    assert len(losses[0]) == steps and np.isfinite(losses).all()
    assert losses[1] == pytest.approx(losses[0], rel=0.1 if device.type == "cuda" else 1e-3)


def one_at_a_time(model: PreTrainedModel, questions: Items) -> dict[str, np.ndarray]:
    """The metrics by their definitions (docs/definitions.md) in double precision: a forward pass a question, with no padding."""
    model = deepcopy(model).double()
    found: dict[str, list[float]] = {"exact_match": [], "first_token_hard": [], "answer_nll": []}
    for ids, prompt, answer in zip(questions.ids, questions.prompt_length.tolist(), questions.answer_length.tolist(), strict=True):
        with torch.no_grad():
            logits = model(ids[None, : prompt + answer]).logits[0, prompt - 1 : -1]
        target = ids[prompt : prompt + answer]
        right = logits.argmax(1) == target
        found["exact_match"].append(bool(right.all()))
        found["first_token_hard"].append(bool(right[0]))
        found["answer_nll"].append(-logits.log_softmax(1)[torch.arange(answer), target].mean().item())
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("between_steps", [False, True], ids=["exact", "between-steps"])
def test_answers_are_judged_as_in_double_precision_on_a_cpu(
    tiny_model, tiny_questions: Items, device, take: Take, between_steps: bool
) -> None:
    """A model that knows some answers. Between the steps of a training on a GPU, products are in TF32."""
    known = tiny_questions.first_units(6)
    asked = known.joined_with(tiny_questions.of("control"))
    take(fast=False)
    learning = plan_of(QuestionBatches(known, 16, 0), 80)
    train(tiny_model, replace(learning, optimizer=sections.optimizer(learning_rate=1e-2)))
    expected = one_at_a_time(tiny_model, asked)
    assert 0 < expected["exact_match"].mean() < 1
    take(fast=True)
    tables: list[Any] = []
    model = tiny_model.to(device)
    if between_steps:
        plan = plan_of(QuestionBatches(known, 16, 0), 1, lambda step: tables.append(score(model, asked, 64)))
        train(model, replace(plan, evaluate_at=frozenset([0])))
    else:
        tables.append(score(model, asked, 64))
    rounded = between_steps and device.type == "cuda"
    np.testing.assert_allclose(
        tables[0]["answer_nll"], expected["answer_nll"], rtol=5e-3 if rounded else 1e-4, atol=5e-3 if rounded else 1e-4
    )
    for column in ("exact_match", "first_token_hard"):
        assert (tables[0][column] != expected[column]).mean() <= (0.01 if rounded else 0), column
