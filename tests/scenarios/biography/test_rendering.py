from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import sections

from forgetting.config.biography import ATTRIBUTES
from forgetting.data.ragged import Ragged
from forgetting.scenarios.biography.questions import read_questions
from forgetting.scenarios.biography.rendering import Renderer, Template, disjoint_templates, read_templates, sentence_orders
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, encode, train_tokenizer

RESOURCES = Path(__file__).parents[3] / "resources"
PEOPLE = pd.DataFrame(
    {
        "person": [0, 1],
        "group": ["task0_train", "task1"],
        "full_name": ["Ada Mae Stone", "Ivan Lee Frost"],
        "birthday": ["May 3, 1950", "June 28, 2001"],
        "birth_city": ["Boise, ID", "Reno, NV"],
        "university": ["Rice University", "Reed College"],
        "major": ["Art History", "Physics"],
        "company_name": ["Dollar Co.", "Apple"],
        "company_city": ["Austin, TX", "Cupertino, CA"],
    }
)


@pytest.fixture(scope="module", params=["word", "bpe"])
def world(request: pytest.FixtureRequest):
    """Templates, questions, a tokenizer of each kind and a renderer of two persons, one at a company whose name ends in a full stop."""
    templates, questions = read_templates(RESOURCES / "templates"), read_questions(RESOURCES / "questions.yaml")
    text = [t.fill(row["full_name"], row[name]) for name in ATTRIBUTES for t in templates[name] for _, row in PEOPLE.iterrows()]
    text += [question.format(name=name) + "\nAnswer:" for question in questions.values() for name in PEOPLE["full_name"]]
    tokenizer = train_tokenizer(sections.tokenizer(kind=request.param, vocabulary_size=3000), text)
    renderer = Renderer(PEOPLE, templates, questions, lambda strings: encode(tokenizer, strings), tokenizer.token_to_id(END_OF_TEXT))
    return templates, questions, tokenizer, renderer


def expected_text(templates: dict[str, list[Template]], person: int, chosen: np.ndarray, order: np.ndarray) -> str:
    row = PEOPLE.iloc[person]
    return "".join(templates[ATTRIBUTES[i]][chosen[i]].fill(row["full_name"], row[ATTRIBUTES[i]]) for i in order)


def test_pieces_give_the_tokens_of_the_whole_text(world) -> None:
    templates, _, tokenizer, renderer = world
    generator = np.random.default_rng(0)
    persons = generator.integers(0, 2, 60)
    chosen, order = generator.integers(0, 50, (60, 6)), sentence_orders(60, True, generator)
    rows, starts = renderer.biographies(persons, chosen, order)
    for i, person in enumerate(persons):
        text = expected_text(templates, person, chosen[i], order[i])
        ids = tokenizer.encode(text).ids
        if "Co.," not in text:  # a full stop and a comma in a row are one token of a whole text and two of its pieces
            assert rows[i].tolist() == [*ids, tokenizer.token_to_id(END_OF_TEXT)]
        assert tokenizer.decode(rows[i].tolist(), skip_special_tokens=False) == text + END_OF_TEXT
        for name, start in zip(ATTRIBUTES, starts[i], strict=True):
            rest = tokenizer.decode(rows[i][start:].tolist())
            assert rest.startswith(" " + PEOPLE.iloc[person][name])


def test_no_doubled_full_stop_after_a_value_that_ends_in_one(world) -> None:
    _, _, tokenizer, renderer = world
    chosen = np.repeat(np.arange(50)[:, None], 6, axis=1)
    rows, _ = renderer.biographies(np.zeros(50, dtype=int), chosen, sentence_orders(50, False, np.random.default_rng(0)))
    for row in range(len(rows)):
        assert ".." not in tokenizer.decode(rows[row].tolist())


def test_the_full_name_is_in_every_sentence_unless_switched_off(world) -> None:
    _, _, tokenizer, renderer = world
    zeros = np.zeros((1, 6), dtype=int)
    order = sentence_orders(1, False, np.random.default_rng(0))
    whole = tokenizer.decode(renderer.biographies(np.array([1]), zeros, order)[0][0].tolist())
    short = tokenizer.decode(renderer.biographies(np.array([1]), zeros, order, full_name=False)[0][0].tolist())
    assert whole.count("Ivan Lee Frost") == 6
    assert short.count("Ivan Lee Frost") == 1 and short.count("Ivan") == 6


def test_prompts_and_answers(world) -> None:
    _, questions, tokenizer, renderer = world
    prompts, answers = renderer.prompts(), renderer.answers()
    for person in range(2):
        for i, name in enumerate(ATTRIBUTES):
            row = PEOPLE.iloc[person]
            assert tokenizer.decode(prompts[6 * person + i].tolist()) == questions[name].format(name=row["full_name"]) + "\nAnswer:"
            assert tokenizer.decode(answers[6 * person + i].tolist(), skip_special_tokens=False) == f" {row[name]}{END_OF_TEXT}"


def test_templates_of_the_project() -> None:
    templates = read_templates(RESOURCES / "templates")
    lines = [line for name in ATTRIBUTES for line in (RESOURCES / "templates" / f"{name}.txt").read_text().splitlines()]
    assert len(lines) == len(set(lines)) == 300
    assert {len(found) for found in templates.values()} == {50}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{name} was born.", "needs one"),
        ("On {value}, {name} was born.", "needs one"),
        ("{name} and {name} like {value}.", "needs one"),
        ("{name} found his way to {value}.", "pronoun 'his'"),
        ("{name} lives in {value}", "full stop"),
    ],
)
def test_bad_templates_are_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Template.parse(line)


def test_biographies_of_a_person_share_no_template() -> None:
    templates = disjoint_templates(40, 5, np.random.default_rng(0))
    assert templates.shape == (40, 5, 6)
    for person in templates:
        for attribute in person.T:
            assert len(set(attribute)) == 5


def test_templates_do_not_depend_on_the_chunks_they_are_drawn_in() -> None:
    whole, parts = np.random.default_rng(1), np.random.default_rng(1)
    assert np.array_equal(disjoint_templates(30, 5, whole), np.concatenate([disjoint_templates(10, 5, parts) for _ in range(3)]))


def test_ragged_take_joins_rows() -> None:
    ragged = Ragged.from_lists([[1, 2], [], [3], [4, 5, 6]])
    joined = ragged.take(np.array([[0, 1, 2], [3, 0, 1]]))
    assert [joined[i].tolist() for i in range(2)] == [[1, 2, 3], [4, 5, 6, 1, 2]]
    both = Ragged.interleave(ragged, Ragged.from_lists([[9], [8], [7], []]).slice(slice(0, 4)))
    assert [both[i].tolist() for i in range(4)] == [[1, 2, 9], [8], [3, 7], [4, 5, 6]]
