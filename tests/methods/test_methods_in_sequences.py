"""Methods before the second and third task of a sequence: they see every earlier task, each as it was when it was learned."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import jobs, sections
from tests.conftest import RESOURCES

from forgetting.config.knobs import parse_arm
from forgetting.data.items import Items
from forgetting.methods.base import Setting, build_method
from forgetting.methods.gradient_projection.method import input_moments
from forgetting.methods.gradient_projection.projection import Subspace
from forgetting.methods.lamol import method as lamol
from forgetting.methods.lamol.language import LanguageBatches
from forgetting.methods.lamol.pseudo import examples_of
from forgetting.methods.replay.method import MixedBatches
from forgetting.model.checkpoints import build_model, save_checkpoint
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.people import held_out_names
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, load_tokenizer
from forgetting.training.batches import QuestionBatches

GROUPS = sections.groups(task0_train=10, task0_val=2, task0_test=4, task1=6, control=2, probe=2, task2=8, task3=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build_data(jobs.data(data=sections.data(groups=GROUPS)), RESOURCES, folder)
    return folder


@pytest.fixture
def setting(data: Path, tmp_path: Path) -> Setting:
    """Before task 3: three models, after Task 0, task 1 and task 2, of which the last is trained."""
    questions, tokenizer = Items.load(data / "items.parquet"), load_tokenizer(data / "tokenizer")
    models = [build_model(sections.model(initializer_range=0.2), tokenizer.get_vocab_size(), seed) for seed in range(3)]
    for number, model in enumerate(models):
        save_checkpoint(model, tmp_path / str(number))
    return Setting(
        model=models[-1],
        task0_train=questions.of("task0_train"),
        task1=QuestionBatches(questions.of("task3"), 8, 0),
        training=sections.task1(
            steps=10,
            batch_size=8,
            optimizer=sections.optimizer(learning_rate=1e-2),
            evaluate=[],
            evaluate_later=10,
            checkpoints=[],
            later_checkpoints=1,
        ),
        precision="float32",
        seed=0,
        tokenizer=tokenizer,
        held_out=held_out_names(data, ["task1", "task2"]),
        since=(questions.of("task1"), questions.of("task2")),
        former_weights=(tmp_path / "0", tmp_path / "1"),
    )


def prepared(setting: Setting, **entry: Any) -> Any:
    method = build_method(parse_arm(entry))
    method.before_task(setting)
    return method


def by_split(questions: Items) -> dict[str, set[int]]:
    return {str(split): set(questions.unit[questions.split == split].tolist()) for split in np.unique(questions.split)}


def test_replay_stores_a_share_of_every_earlier_task(setting: Setting) -> None:
    stored = by_split(prepared(setting, method="replay", share=0.5, mix="batch").store)
    assert {split: len(units) for split, units in stored.items()} == {"task0_train": 5, "task1": 3, "task2": 4}
    # Of each the same persons as a task earlier, and with a larger share all of these.
    earlier = replace(setting, since=setting.since[:1], former_weights=setting.former_weights[:1])
    before = by_split(prepared(earlier, method="replay", share=0.5, mix="batch").store)
    assert before == {name: stored[name] for name in ("task0_train", "task1")}
    more = by_split(prepared(setting, method="replay", share=0.8, mix="batch").store)
    assert all(units < more[split] for split, units in stored.items())


def test_a_batch_of_replay_draws_from_all_stores(setting: Setting) -> None:
    batches = prepared(setting, method="replay", share=0.5, mix="ratio").batches()
    assert isinstance(batches, MixedBatches)
    new, old = 5 * 6, (5 + 3 + 4) * 6
    drawn = np.concatenate([batches.rows_at(step) for step in range(15)])  # four passes over the new task: 15 x 8 of 30
    assert len(drawn) == 15 * 8 * (new + old) // new
    counts = {split: int((batches.both.split[drawn] == split).sum()) for split in ("task0_train", "task1", "task2", "task3")}
    assert counts == {"task0_train": 4 * 5 * 6, "task1": 4 * 3 * 6, "task2": 4 * 4 * 6, "task3": 4 * 5 * 6}


def test_joint_has_all_of_them(setting: Setting) -> None:
    batches = prepared(setting, method="joint").batches()
    assert {split: len(units) for split, units in by_split(batches.both).items()} == {"task0_train": 10, "task1": 6, "task2": 8, "task3": 5}


def test_ewc_pulls_to_the_weights_after_each_task_by_that_tasks_own_fisher(setting: Setting) -> None:
    """One penalty a task: the whole is that of three settings with one task each, summed."""
    whole = prepared(setting, method="ewc", penalty=3.0)
    assert [len(term.anchor) for term in whole.terms] == [len(list(setting.model.parameters()))] * 3
    single = []
    for number, questions in enumerate(setting.former):
        alone = copy.deepcopy(setting.model)
        model = build_model(sections.model(initializer_range=0.2), setting.tokenizer.get_vocab_size(), number)
        of_task = prepared(replace(setting, model=model, task0_train=questions, since=(), former_weights=()), method="ewc", penalty=3.0)
        of_task.weights = list(alone.parameters())
        single.append(of_task.on_loss(torch.zeros(())).item())
    assert whole.on_loss(torch.zeros(())).item() == pytest.approx(sum(single), rel=1e-5)
    assert single[-1] == 0, "the last task is where the model stands"
    assert min(single[:2]) > 0


def test_the_subspaces_of_gpm_are_joined(setting: Setting) -> None:
    """Whatever fills the inputs of an earlier task is protected: what is left of its energy outside of the subspace is at most 3 %."""
    rule = prepared(setting, method="gradient_projection", rule="gpm", energy=0.97).rule
    ranks = {name: subspace.rank for name, subspace in rule.subspaces.items()}
    first = prepared(replace(setting, since=(), former_weights=()), method="gradient_projection", rule="gpm", energy=0.97).rule
    for number, (model, questions) in enumerate(zip(setting.former_models(), setting.former, strict=True)):
        for name, moment in input_moments(model, questions).items():
            basis = rule.subspaces[name].basis.double()
            inside = basis if rule.subspaces[name].inside else torch.eye(len(basis), dtype=torch.float64) - basis @ basis.T
            held = torch.trace(inside.T @ moment @ inside) / torch.trace(moment)
            assert held >= 0.97 - 1e-6, (number, name)
    assert all(first.subspaces[name].rank <= rank for name, rank in ranks.items())
    assert any(first.subspaces[name].rank < rank for name, rank in ranks.items())


def test_joined_subspaces_by_hand() -> None:
    """Task one fills e1; task two e1 and, with 40 % of its energy, e2; a third has nothing new."""
    one, two = torch.diag(torch.tensor([1.0, 0, 0, 0])).double(), torch.diag(torch.tensor([0.6, 0.4, 0, 0])).double()
    joined = Subspace.joined([one, two, one + two], 0.97, torch.float64)
    assert joined.rank == 2 and joined.inside
    torch.testing.assert_close(joined.basis @ joined.basis.T, torch.diag(torch.tensor([1.0, 1, 0, 0])).double())
    assert Subspace.joined([one, two], 0.6, torch.float64).rank == 1, "what the first holds of the second is enough"
    assert Subspace.joined([one], 0.97, torch.float64).rank == Subspace.holding(one, 0.97, torch.float64).rank == 1
    whole = Subspace.joined([torch.eye(4).double(), two], 1.0, torch.float64)
    assert whole.rank == 4 and whole.basis.shape == (4, 0)


def test_lamol_samples_what_it_learned_of_every_task(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that writes a question of each task: those of all earlier ones are right and used, one of the next task is neither."""
    questions = [setting.task0_train, *setting.since, setting.task1.questions]
    texts = ["".join(examples_of(each, setting.tokenizer)[0]) + END_OF_TEXT for each in questions]
    monkeypatch.setattr(lamol, "sample_texts", lambda *given: texts)
    method = prepared(setting, method="lamol", pseudo_share=0.2, language_loss=0.25)
    assert method.counts["pseudo_right_answer"] == 3 and method.counts["pseudo_held_out"] == 1 and method.counts["pseudo_used"] == 3


def test_lamol_goes_on_learning_to_write_but_for_the_last_task(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["".join(example) + END_OF_TEXT for example in examples_of(setting.since[0], setting.tokenizer)]
    monkeypatch.setattr(lamol, "sample_texts", lambda *given: texts)
    entry = {"method": "lamol", "pseudo_share": 0.5, "language_loss": 0.25}
    last, before = (prepared(replace(setting, goes_on=goes_on), **entry).batches() for goes_on in (False, True))
    assert isinstance(last, MixedBatches) and isinstance(before, LanguageBatches)
    plain, both = last.batch(3), before.batch(3)
    assert len(both.ids) == 2 * len(plain.ids), "each question, of the task or a pseudo example, once more as a text"
    assert both.share is not None and float(both.share.sum()) == pytest.approx(1.25)
