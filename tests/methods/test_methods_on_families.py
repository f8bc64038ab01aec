"""Every method on a model of every family: what it promises holds whatever the names and the storage of the weights."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.families import every_family, family_model
from tests.methods.test_every_method import ARMS
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from forgetting.config.knobs import parse_arm
from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.methods.base import Method, Setting, build_method
from forgetting.methods.freeze.method import Freeze
from forgetting.methods.gradient_projection import method as gradient_projection
from forgetting.methods.lamol import method as lamol
from forgetting.methods.lamol.pseudo import examples_of, sample_texts
from forgetting.model.anatomy import Anatomy
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT
from forgetting.training.loop import Plan, train

STEPS, WINDOW = 3, (1, 3)


@pytest.fixture
def setting(family: str, tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """The model of the family in place of GPT-NeoX, with a short window for directions; LAMOL reads texts that need not be sampled."""
    monkeypatch.setattr(gradient_projection, "WINDOW", WINDOW)
    texts = ["".join(example) + END_OF_TEXT for example in examples_of(tiny_setting.task0_train, tiny_setting.tokenizer)]
    monkeypatch.setattr(lamol, "sample_texts", lambda model, tokenizer, count, *others: texts[:count])
    return replace(tiny_setting, model=family_model(family, tiny_setting.model.config.vocab_size))


def trained(setting: Setting, arm: dict) -> tuple[PreTrainedModel, Method]:
    """A copy of the setting's model after STEPS steps of an arm, and the method."""
    setting = replace(setting, model=copy.deepcopy(setting.model))
    method = build_method(parse_arm(arm))
    method.before_task(setting)
    training = setting.training
    train(setting.model, Plan(STEPS, method.batches(), training.optimizer, training.schedule, frozenset(), lambda step: None, hooks=method))
    return setting.model, method


def moved(before: PreTrainedModel, after: PreTrainedModel) -> dict[str, Tensor]:
    """By how much each matrix moved, (out, in), and each vector. Of GPT-2's blocks, weights are (in, out)."""
    transposed = {id(module.weight) for module in before.modules() if isinstance(module, Conv1D)}
    ends = dict(after.named_parameters())
    return {
        name: (difference.T if id(start) in transposed else difference)
        for name, start in before.named_parameters()
        for difference in [(ends[name] - start).detach()]
    }


@every_family
def test_every_method_trains(setting: Setting) -> None:
    assert len(sample_texts(setting.model, setting.tokenizer, 2, longest=5, top_k=10, seed=0)) == 2
    for name, arm in ARMS.items():
        change = moved(setting.model, trained(setting, arm)[0])
        assert all(bool(value.isfinite().all()) for value in change.values()), name
        assert any(bool(value.any()) for value in change.values()), name


@every_family
def test_what_is_frozen_stays_and_all_else_moves(setting: Setting) -> None:
    change = moved(setting.model, trained(setting, {"method": "freeze", "layers": 1})[0])
    base = setting.model.base_model
    blocks = next(module for module in base.modules() if isinstance(module, torch.nn.ModuleList))
    still = {id(parameter) for parameter in blocks[0].parameters()}
    still |= {id(module.weight) for module in base.modules() if isinstance(module, torch.nn.Embedding)}
    for name, parameter in setting.model.named_parameters():
        assert bool(change[name].any()) == (id(parameter) not in still), name


@every_family
def test_gpm_keeps_the_outputs_of_task_0_and_learns_task_1(setting: Setting) -> None:
    """Of one question, whose tokens fill less than the width, so that the matrices can move beside them."""
    one = replace(setting, task0_train=setting.task0_train.select(np.arange(1)))

    def outputs(model: PreTrainedModel, questions: Items) -> Tensor:
        length, ids = questions.prompt_length + questions.answer_length, questions.ids[:24]
        with torch.no_grad():
            logits = model(input_ids=ids).logits
        return logits[torch.arange(ids.shape[1]) < length[:24, None]]

    after, method = trained(one, {"method": "gradient_projection", "rule": "gpm", "energy": 1 - 1e-9})
    assert all(0 < subspace.rank < len(subspace.basis) for subspace in method.rule.subspaces.values())  # type: ignore[attr-defined]
    kept, learned = (outputs(after, some) - outputs(setting.model, some) for some in (one.task0_train, one.task1.questions))
    assert kept.norm() / len(kept) ** 0.5 < 1e-2 * learned.norm() / len(learned) ** 0.5
    change = moved(setting.model, after)
    assert all(bool(change[name].any()) for name in method.rule.subspaces)  # type: ignore[attr-defined]


@every_family
def test_an_exact_projection_leaves_no_row_along_its_direction(setting: Setting) -> None:
    """A row belongs to one output, however the weight is stored."""
    after, method = trained(setting, {"method": "gradient_projection", "rule": "exact", "repeats": 1})
    for name, change in moved(setting.model, after).items():
        unit = method.rule.unit[name]  # type: ignore[attr-defined]
        assert unit.shape == change.shape
        assert torch.linalg.vecdot(change, unit).abs().max() < 1e-5, name


@pytest.mark.parametrize("family", ["llama"])
@pytest.mark.parametrize(("part", "arm"), [("layer_of", {"layers": 1}), ("is_embedding", {"layers": 0})])
def test_a_method_that_does_not_find_what_it_is_to_freeze_is_an_error(
    setting: Setting, part: str, arm: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Anatomy, part, lambda self, parameter: None)
    with pytest.raises(StudyError, match="no embedding to freeze"):
        Freeze(parse_arm({"method": "freeze"} | arm)).before_task(setting)
