from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections
from tests.made_items import made_items

from forgetting.config.biography import ATTRIBUTES
from forgetting.data.items import Items
from forgetting.data.ragged import Ragged
from forgetting.evaluation.exact import score
from forgetting.intervals import clustered_wilson
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.floors import modal_answer_floors
from forgetting.schemas.people import PEOPLE
from forgetting.schemas.positions import POSITIONS
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import AnswerTokens
from forgetting.views.inputs import Checkpoints
from forgetting.views.positions import END, always_modal, position_rows, positions, token_outcomes

CPU = torch.device("cpu")
KEYS = ["kind", "position", "metric"]


@pytest.fixture
def run():
    return jobs.answers()


def random_model(seed: int = 0):
    return build_model(sections.model(heads=4, max_positions=32, initializer_range=0.2), 60, seed).eval()


def made_up(answers: list[list[int]], kinds: list[str], units: list[int], split: str = "task0_test") -> Items:
    """Questions with the prompt 5 5 and these answers; the end token 0 is added."""
    rows = [torch.tensor([5, 5, *answer, 0]) for answer in answers]
    lengths = torch.tensor([len(answer) + 1 for answer in answers])
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    names = np.array(kinds, dtype=object)
    return made_items(ids, torch.full((len(rows),), 2), lengths, np.array(units), np.full(len(rows), split, dtype=object), names)


def value(rows: pd.DataFrame, kind: str, position: int, metric: str, column: str = "value") -> float:
    return rows.set_index(KEYS).loc[(kind, position, metric), column]


def test_outcomes_against_one_whole_forward_pass_a_token(questions):
    """The brute force: read the question and the right tokens before, look at the next-token distribution, token by token."""
    questions = questions.select(np.arange(0, len(questions), 7))
    model, tokens = random_model().double(), AnswerTokens.of(questions)
    right, probability = token_outcomes(model, tokens, batch_size=4)
    row = 0
    for number in range(len(questions)):
        start, length = int(questions.prompt_length[number]), int(questions.answer_length[number])
        for place in range(start, start + length):
            with torch.inference_mode():
                following = model(questions.ids[number : number + 1, :place]).logits[0, -1].softmax(-1)
            target = int(questions.ids[number, place])
            assert probability[row] == pytest.approx(float(following[target]), rel=1e-9)
            assert right[row] == (int(following.argmax()) == target)
            row += 1
    assert row == len(right)


def test_rows_against_a_loop_over_questions(questions):
    """Shares, counts and intervals from random outcomes, counted question by question with plain Python."""
    tokens = AnswerTokens.of(questions)
    generator = np.random.default_rng(3)
    right, modal = generator.random((2, len(tokens.target))) < [[0.7], [0.4]]
    probability = generator.random(len(tokens.target))
    found = position_rows(tokens, right, probability, modal)
    cells: dict[tuple[str, int, str], list[tuple[int, float]]] = defaultdict(list)
    row = 0
    for number, length in enumerate(questions.answer_length.tolist()):
        unit = int(questions.unit[number])
        correct, likely = right[row : row + length], probability[row : row + length]
        row += length
        for kind in ("all", questions.kind[number]):
            for place in range(length):
                position = END if place == length - 1 else place
                cells[kind, position, "token_hard"].append((unit, correct[place]))
                cells[kind, position, "token_soft"].append((unit, likely[place]))
                if correct[:place].all():
                    cells[kind, position, "token_hard_after_right"].append((unit, correct[place]))
    assert len(found) == len(found.drop_duplicates(KEYS))
    for key, counted in cells.items():
        units, values = zip(*counted, strict=True)
        expected = clustered_wilson(values, units)
        row_found = found.set_index(KEYS).loc[key]
        assert row_found["n"] == len(values)
        assert row_found["value"] == pytest.approx(np.mean(values))
        if key[2] != "token_soft":
            assert tuple(row_found[["value", "low", "high"]]) == pytest.approx(expected)
    assert np.isnan(found.loc[found["metric"] == "token_soft", "chance"]).all()


def test_answers_that_break_nowhere_are_the_exact_matches_of_the_evaluation():
    model = random_model()
    with torch.no_grad():  # the model mostly ends the answer at once, which is right where it is empty
        model.gpt_neox.final_layer_norm.weight.mul_(0.2)
        model.gpt_neox.final_layer_norm.bias.copy_(model.get_output_embeddings().weight[0])
    questions = made_up([[], [7], [], [8, 9]] * 6, [*ATTRIBUTES] * 4, [number // 6 for number in range(24)])
    tokens = AnswerTokens.of(questions)
    right, probability = token_outcomes(model, tokens, 5)
    found = position_rows(tokens, right, probability, right)
    facts = score(model, questions, 5)
    for kind in ("all", *ATTRIBUTES):
        asked = facts if kind == "all" else facts[facts["kind"] == kind]
        broken = found[(found["kind"] == kind) & (found["metric"] == "first_wrong")]
        assert 1 - broken["value"].sum() == pytest.approx(asked["exact_match"].mean())
        assert (broken["n"] == len(asked)).all()
    assert 0 < facts["exact_match"].mean() < 1


def test_first_token_metrics_where_no_answer_is_empty(questions):
    model = random_model()
    tokens, facts = AnswerTokens.of(questions), score(model, questions, 9)
    right, probability = token_outcomes(model, tokens, 9)
    found = position_rows(tokens, right, probability, right)
    for kind in ATTRIBUTES:
        asked = facts[facts["kind"] == kind]
        assert value(found, kind, 0, "token_hard") == pytest.approx(asked["first_token_hard"].mean())
        assert value(found, kind, 0, "token_soft") == pytest.approx(asked["first_token_soft"].mean(), rel=1e-5)


def test_conditional_share_by_hand():
    """Four answers of two tokens. Wrong tokens: the first of answer 2, the second of answers 2 and 3, the end of answer 1."""
    questions = made_up([[7, 8]] * 4, ["major"] * 4, [1, 2, 3, 4])
    tokens = AnswerTokens.of(questions)
    right = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool).ravel()
    found = position_rows(tokens, right, right.astype(float), np.ones(12, dtype=bool))
    expected = {
        "token_hard": {0: (0.75, 4), 1: (0.5, 4), END: (0.75, 4)},
        "token_hard_after_right": {0: (0.75, 4), 1: (2 / 3, 3), END: (0.5, 2)},
        "first_wrong": {0: (0.25, 4), 1: (0.25, 4), END: (0.25, 4)},
    }
    for metric, cells in expected.items():
        for position, (share, count) in cells.items():
            assert value(found, "major", position, metric) == pytest.approx(share)
            assert value(found, "all", position, metric, "n") == count
    never = position_rows(tokens, np.tile([False, True, True], 4), right.astype(float), np.ones(12, dtype=bool))
    assert value(never, "major", 1, "token_hard_after_right", "n") == 0
    for column in ("value", "low", "high", "chance"):
        assert np.isnan(value(never, "major", 1, "token_hard_after_right", column))


def test_a_model_that_always_says_the_modal_token_is_at_chance():
    """Token 7 is the most frequent of the training persons at every attribute and place, and the model says nothing else."""
    generator = np.random.default_rng(5)
    units = np.repeat(np.arange(40), len(ATTRIBUTES)).tolist()
    answers = [generator.choice([7, 7, 7, 8, 9], 3).tolist() for _ in units]
    questions = made_up(answers, [*ATTRIBUTES] * 40, units)
    training = made_up([[7, 7, 7, 7], [7, 7, 7, 7], [9, 8, 8]] * 6, np.repeat(ATTRIBUTES, 3).tolist(), [50] * 18)
    model = random_model()
    with torch.no_grad():
        model.gpt_neox.final_layer_norm.weight.zero_()
        model.gpt_neox.final_layer_norm.bias.copy_(10 * model.get_output_embeddings().weight[7])
        assert int((model.get_output_embeddings().weight @ model.gpt_neox.final_layer_norm.bias).argmax()) == 7
    tokens = AnswerTokens.of(questions)
    found = position_rows(tokens, *token_outcomes(model, tokens, 16), always_modal(tokens, training))
    hard = found[found["metric"] != "token_soft"]
    assert np.array_equal(hard["value"], hard["chance"], equal_nan=True)
    assert value(found, "all", 0, "token_hard") == pytest.approx(0.6, abs=0.1)
    assert value(found, "all", END, "token_hard") == 0


def test_a_random_guess_among_equally_frequent_tokens_is_at_chance():
    """With ten tokens equally frequent, every guess is right with probability 0.1, the modal one too (within 4 standard errors)."""
    generator = np.random.default_rng(8)
    values = generator.integers(10, 20, (600, 2))
    questions = made_up(values[:300].tolist(), ["major"] * 300, list(range(300)))
    training = made_up(values[300:].tolist(), ["major"] * 300, list(range(300)))
    tokens = AnswerTokens.of(questions)
    guesses = torch.from_numpy(generator.integers(10, 20, len(tokens.target)))
    right = (guesses == tokens.target).numpy()
    found = position_rows(tokens, right, right.astype(float), always_modal(tokens, training)).set_index(KEYS)
    for position in (0, 1):
        row = found.loc[("major", position, "token_hard")]
        assert tuple(row[["value", "chance"]]) == pytest.approx((0.1, 0.1), abs=4 * np.sqrt(0.1 * 0.9 / 300))


def test_modal_token_by_attribute_and_place_by_hand():
    """Ties go to the lower token id; an end token counts at its place; a place or attribute never trained on is never right."""
    training = made_up([[7, 8], [7], [9, 6], [4]], ["major", "major", "major", "birthday"], [1, 2, 3, 4])
    asked = made_up([[7, 6], [7], [9, 8, 3], [4, 4], [4]], ["major", "major", "major", "birthday", "university"], [5, 6, 7, 8, 9])
    # At major: 7, then a tie of 0, 6 and 8, then the end token. At birthday: 4, then the end token.
    assert always_modal(AnswerTokens.of(asked), training).tolist() == [
        *(True, False, True),
        *(True, True),
        *(False, False, False, False),
        *(True, False, False),
        *(False, False),
    ]


def test_chance_of_the_first_token_is_the_modal_floor(tiny_data, tiny_questions):
    """`floors` counts tokens of all persons by another road."""
    people = read_table(tiny_data / "people.parquet", PEOPLE)
    answers = Ragged.from_lists(pd.read_parquet(tiny_data / "items.parquet")["answer_ids"])
    floors = modal_answer_floors(people, answers).set_index(["split", "kind", "metric"])["value"]
    for split in ("task0_test", "task1", "control"):
        tokens = AnswerTokens.of(tiny_questions.of(split))
        modal = always_modal(tokens, tiny_questions.of("task1" if split == "task1" else "task0_train"))
        found = position_rows(tokens, modal, modal.astype(float), modal)
        for kind in ("all", *ATTRIBUTES):
            assert value(found, kind, 0, "token_hard", "chance") == pytest.approx(floors[split, kind, "first_token_hard"])


def test_every_checkpoint_has_its_rows(checkpoints, questions, run, tmp_path):
    """Step 0 is the model after Task 0; a copy of it gives the same numbers; the persons are those of the evaluation."""
    training = questions.of("task0_test")
    training = replace(training, unit=training.unit + 100, split=np.full(len(training), "task0_train", dtype=object))
    everyone = questions.joined_with(training)
    folders = {0: checkpoints.folders[0], 50: checkpoints.folders[50], 60: checkpoints.folders[0]}
    fewer = run.model_copy(update={"evaluation": run.evaluation.model_copy(update={"units_per_split": 4})})
    write_table(positions(fewer, Checkpoints(folders), everyone, CPU), tmp_path / "positions.parquet", POSITIONS)
    table = read_table(tmp_path / "positions.parquet", POSITIONS)
    assert set(table["step"]) == {0, 50, 60} and set(table["split"]) == {"task0_test", "task1", "control"}
    keys = ["split", *KEYS]
    start, moved, same = (table[table["step"] == step].set_index(keys).drop(columns="step") for step in (0, 50, 60))
    pd.testing.assert_frame_equal(start, same)
    assert not moved["value"].equals(start["value"])
    ends = table[(table["position"] == END) & (table["metric"] == "token_hard") & (table["kind"] == "all")]
    assert (ends["n"] == 4 * len(ATTRIBUTES)).all()
