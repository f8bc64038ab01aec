from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import sections
from tests.made_items import made_items
from tests.workflow.scripts import run_script

from forgetting.config.biography import ATTRIBUTES
from forgetting.config.jobs.views.gradients import GradientsJob
from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model, save_checkpoint
from forgetting.schemas.gradients import GRADIENTS
from forgetting.tables import read_table, write_table
from forgetting.views.gradients import BLOCKS, UNITS, compared_steps, gradients, halves, sampled
from forgetting.views.inputs import Checkpoints

CPU = torch.device("cpu")
RUN = GradientsJob(scale="tiny", seed=3, arm="seq", evaluation_batch_size=7)


def two_tasks(answers: dict[str, int], units: int = 4) -> Items:
    """Six questions with one and the same prompt about each of some persons of each group, with one token for an answer."""
    count = units * len(ATTRIBUTES)
    rows = [[1, 0, 1, answer] for answer in answers.values() for _ in range(count)]
    unit = np.concatenate([np.repeat(np.arange(units), len(ATTRIBUTES)) + 100 * number for number in range(len(answers))])
    return made_items(
        torch.tensor(rows),
        torch.full((len(rows),), 3),
        torch.full((len(rows),), 1),
        unit,
        np.repeat(np.array(list(answers), dtype=object), count),
        np.tile(np.array(ATTRIBUTES, dtype=object), units * len(answers)),
    )


@pytest.fixture
def walk(tiny_model, tmp_path: Path) -> Checkpoints:
    """The model after Task 0 and checkpoints of a random walk from it."""
    save_checkpoint(tiny_model, tmp_path / "task0")
    torch.manual_seed(2)
    for step in (5, 200, 250, 400):
        with torch.no_grad():
            for parameter in tiny_model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_checkpoint(tiny_model, tmp_path / "task1" / f"step-{step:06d}")
    return Checkpoints.find(tmp_path / "task0", tmp_path / "task1")


def saved(model, folder: Path) -> Checkpoints:
    for name in ("task0", "task1/step-000005", "task1/step-000010"):
        save_checkpoint(model, folder / name)
    return Checkpoints.find(folder / "task0", folder / "task1")


@pytest.mark.parametrize(("answers", "expected"), [({"task0_train": 0, "task1": 1}, -1.0), ({"task0_train": 0, "task1": 0}, 1.0)])
def test_tasks_that_want_opposed_answers_to_one_prompt_are_opposed(answers: dict[str, int], expected: float, tmp_path: Path) -> None:
    """With two tokens, what makes one of them likelier makes the other one less likely, to the last weight."""
    model = build_model(sections.model(heads=4, max_positions=32, initializer_range=0.2), 2, 0)
    found = gradients(RUN, saved(model, tmp_path), two_tasks(answers), CPU).set_index(["step", "part", "layer", "comparison"])["value"]
    for part, layer in (("all", -1), ("blocks", -1), ("embedding", 0), ("block", 1), ("block", 2), ("output_embedding", 3)):
        assert found[0, part, layer, "task0_task1"] == pytest.approx(expected, abs=1e-4)
        assert [found[0, part, layer, f"{task}_halves"] for task in ("task0", "task1")] == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize("apart_in", ["form", "facts"])
def test_the_floor_tells_tasks_that_are_opposed_in_form_from_those_opposed_in_facts(apart_in: str, tmp_path: Path) -> None:
    """In form: to any question one task says 0 and the other 1, whoever is asked about. In facts: to the two prompts that there are, each
    of as many persons, the tasks say the opposite, and as often 0 as 1. The answers of others leave the first alone and undo the second."""
    questions = two_tasks({"task0_train": 0, "task1": 1}, units=16)
    if apart_in == "facts":
        prompt = torch.from_numpy(questions.unit // 2 % 2)  # so that each half has as many of either
        questions.ids[:, 2] = prompt
        questions.ids[:, 3] = torch.where(torch.from_numpy(questions.split == "task1"), 1 - prompt, prompt)
    model = build_model(sections.model(heads=4, max_positions=32), 2, 0)
    found = gradients(RUN, saved(model, tmp_path), questions, CPU).set_index(["step", "part", "comparison"])["value"]
    value, floor = found[0, "all", "task0_task1"], found[0, "all", "task0_shuffled"]
    assert value < -0.9
    assert floor == pytest.approx(value, abs=1e-4) if apart_in == "form" else floor > -0.5


def by_hand(model, questions: Items) -> dict[str, np.ndarray]:
    """The gradient of the mean negative log-likelihood of all answer tokens, from logits, one question at a time."""
    model.zero_grad()
    for row in range(len(questions)):
        start, length = int(questions.prompt_length[row]), int(questions.answer_length[row])
        ids = questions.ids[row : row + 1, : start + length]
        likelihood = model(ids).logits[0, start - 1 : start + length - 1].double().log_softmax(-1)
        (-likelihood[torch.arange(length), ids[0, start:]].sum() / int(questions.answer_length.sum())).backward()
    return {name: parameter.grad.double().flatten().numpy().copy() for name, parameter in model.named_parameters()}


def test_cosines_against_gradients_made_by_hand(tiny_model, tiny_questions, tmp_path: Path) -> None:
    found = gradients(RUN, saved(tiny_model, tmp_path), tiny_questions, CPU)
    assert found["n"].unique().tolist() == [36]  # 12 persons of Task 0 in two halves, six questions each
    value = found.set_index(["step", "part", "layer", "comparison"])["value"]
    made = {
        task: [by_hand(tiny_model, half) for half in pair] for task, pair in sampled(tiny_questions, RUN.seed).items() if task != "shuffled"
    }
    for part, layer, holds in (
        ("all", -1, ""),
        ("blocks", -1, ".layers."),
        ("embedding", 0, "embed_in"),
        ("block", 1, ".layers.0."),
        ("block", 2, ".layers.1."),
    ):
        vectors = {
            task: [np.concatenate([each for name, each in half.items() if holds in name]) for half in pair] for task, pair in made.items()
        }

        def cosine(one: np.ndarray, other: np.ndarray) -> float:
            return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

        across = np.mean([cosine(one, other) for one, other in itertools.product(vectors["task0"], vectors["task1"])])
        assert value[0, part, layer, "task0_task1"] == pytest.approx(across, abs=1e-4)
        assert value[0, part, layer, "task0_halves"] == pytest.approx(cosine(*vectors["task0"]), abs=1e-4)
        assert value[0, part, layer, "task1_halves"] == pytest.approx(cosine(*vectors["task1"]), abs=1e-4)


def test_halves_have_no_person_in_common_and_are_of_one_size(tiny_questions) -> None:
    first, second = halves(tiny_questions.of("task1"))
    assert len(first) == len(second) == 8 * 6 and not set(first.unit) & set(second.unit)
    few = halves(tiny_questions.of("task1"), 4)
    assert [len(half) for half in few] == [12, 12]
    assert UNITS % 2 == 0


def test_shuffled_answers_are_answers_of_other_persons_to_the_same_questions(tiny_questions) -> None:
    asked = sampled(tiny_questions, 0)
    assert {task: set(half.split) for task, (half, _) in asked.items()} == {
        "task0": {"task0_train"},
        "task1": {"task1"},
        "shuffled": {"task1"},
    }
    for right, shuffled in zip(asked["task1"], asked["shuffled"], strict=True):
        assert (right.unit == shuffled.unit).all() and (right.kind == shuffled.kind).all()
        assert any(
            not torch.equal(right.ids[row, : right.prompt_length[row] + 1], shuffled.ids[row, : right.prompt_length[row] + 1])
            for row in range(len(right))
        )


def test_every_early_checkpoint_and_the_end_are_compared_and_the_model_is_left_alone(walk, tiny_questions, tmp_path: Path) -> None:
    assert compared_steps(walk) == [0, 5, 200, 400]
    write_table(gradients(RUN, walk, tiny_questions, CPU), tmp_path / "gradients.parquet", GRADIENTS)
    table = read_table(tmp_path / "gradients.parquet", GRADIENTS)
    parts = {("all", -1), (BLOCKS, -1), ("embedding", 0), ("block", 1), ("block", 2), ("output_embedding", 3)}
    assert set(zip(table["part"], table["layer"], strict=True)) == parts
    assert len(table) == 4 * len(parts) * 4 and not table.duplicated(["step", "part", "layer", "comparison"]).any()
    assert table["value"].between(-1, 1).all()


def test_the_script_writes_the_same_table(walk, tiny_questions, tiny_data: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "config.json").write_text(RUN.model_dump_json(include={"scale", "seed", "stage", "arm", "evaluation_batch_size"}))
    given = {"config": tmp_path / "config.json", "questions": tiny_data / "items.parquet"}
    given |= {"task0": walk.folders[0], "checkpoints": walk.folders[5].parent}
    run_script("view_gradients", monkeypatch, **given, output=tmp_path / "out" / "gradients.parquet")
    found = read_table(tmp_path / "out" / "gradients.parquet", GRADIENTS)
    expected = gradients(RUN, walk, tiny_questions, CPU)[GRADIENTS.names]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, atol=1e-4)
