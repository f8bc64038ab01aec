from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections
from tests.conftest import RESOURCES

from forgetting.evaluation.exact import score
from forgetting.model.checkpoints import save_checkpoint
from forgetting.scenarios.biography.recall import TEMPLATES_ASKED, in_sentences
from forgetting.scenarios.biography.rendering import read_templates
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.schemas.people import PEOPLE
from forgetting.schemas.recall import RECALL
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import Point
from forgetting.views.recall import in_context_questions, recall, recall_forms


@pytest.fixture
def forms(tiny_data: Path, tiny_questions):
    run = jobs.answers(evaluation=sections.evaluation(batch_size=16))
    return run, recall_forms(run, tiny_questions, lambda asked: in_sentences(asked, tiny_data, RESOURCES / "templates", run.seed))


def test_biography_form_is_a_sentence_of_a_template_up_to_the_value(forms, tiny_data):
    """Read back as text: every sentence is a template with the person's name, followed by the person's value."""
    people = read_table(tiny_data / "people.parquet", PEOPLE).set_index("person")
    templates = read_templates(RESOURCES / "templates")
    tokenizer = load_tokenizer(tiny_data / "tokenizer")
    asked, found = forms[1]["question"], forms[1]["biography"]
    assert len(found) == TEMPLATES_ASKED * len(asked)
    assert set(found.split) == {"task0_test", "control"}
    for row in range(len(found)):
        prompt, whole = int(found.prompt_length[row]), int(found.prompt_length[row] + found.answer_length[row])
        text, value = (tokenizer.decode(ids.tolist()) for ids in (found.ids[row, :whole], found.ids[row, prompt:whole]))
        unit = people.loc[found.unit[row]]
        assert value == " " + unit[found.kind[row]]
        sentences = (each.fill(unit["full_name"], unit[found.kind[row]]) for each in templates[found.kind[row]])
        assert any(sentence.startswith(text) for sentence in sentences)


@pytest.mark.parametrize("shots", [1, 3])
def test_in_context_form_shows_solved_questions_of_other_persons(tiny_questions, shots):
    asked, solved = tiny_questions.of("task0_train"), tiny_questions.of("task0_train")
    found = in_context_questions(asked, solved, shots, seed=0)
    texts = {}
    for row in range(len(solved)):
        length = int(solved.prompt_length[row] + solved.answer_length[row])
        texts[tuple(solved.ids[row, :length].tolist())] = (solved.unit[row], solved.kind[row])
    for row in range(len(asked)):
        own = int(asked.prompt_length[row] + asked.answer_length[row])
        whole = found.ids[row, : int(found.prompt_length[row] + found.answer_length[row])].tolist()
        assert whole[-own:] == asked.ids[row, :own].tolist()
        shown = [[*part, 0] for part in _split(whole[:-own], 0)]
        units = [texts[tuple(example)][0] for example in shown]
        assert len(set(units)) == shots and asked.unit[row] not in units
        assert {texts[tuple(example)][1] for example in shown} == {asked.kind[row]}


def _split(ids: list[int], end: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in ids:
        if token == end:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts[:-1]


def test_a_stated_fact_stands_before_its_question(forms, tiny_data):
    """The sentence holds the asked unit's name and value, or, in the control, those of another unit; then an end token and the question."""
    people = pd.read_parquet(tiny_data / "people.parquet").set_index("person")
    tokenizer = load_tokenizer(tiny_data / "tokenizer")
    items = pd.read_parquet(tiny_data / "items.parquet").set_index(["unit", "kind"])
    for form in ("stated", "stated_of_another"):
        found = forms[1][form]
        for row in range(len(found)):
            unit, kind = int(found.unit[row]), str(found.kind[row])
            text = tokenizer.decode(found.ids[row, : found.prompt_length[row]].tolist(), skip_special_tokens=False)
            sentence, question = text.split("<|endoftext|>")
            assert question == items.loc[(unit, kind), "prompt"]
            named = [other for other in people.index if people.loc[other, "full_name"] in sentence]
            assert len(named) == 1 and (named[0] == unit) == (form == "stated")
            assert sentence.endswith(" " + people.loc[named[0], kind])
            assert people.loc[named[0], "group"] == people.loc[unit, "group"]


def test_shuffled_examples_are_the_same_questions_with_other_answers(forms):
    right, shuffled = forms[1]["in_context_4"], forms[1]["shuffled_4"]
    assert (right.unit == shuffled.unit).all()
    changed = sum(
        right.ids[row, : right.prompt_length[row]].tolist() != shuffled.ids[row, : shuffled.prompt_length[row]].tolist()
        for row in range(len(right))
    )
    assert changed > 0.9 * len(right)


@pytest.mark.parametrize("form", ["question", "biography", "in_context_2", "stated"])
def test_recall_is_what_greedy_generation_gives(tiny_model, forms, form):
    """Every second answer is replaced by what the model itself generates, token by token and without padding: those alone are right."""
    model, asked = tiny_model.eval(), forms[1][form]
    asked = asked.select(np.arange(0, len(asked), 7))
    ids, expected = asked.ids.clone(), []
    for row in range(len(asked)):
        start, length = int(asked.prompt_length[row]), int(asked.answer_length[row])
        said = asked.ids[row, :start]
        for _ in range(length):
            with torch.inference_mode():
                said = torch.cat([said, model(said[None]).logits[0, -1].argmax()[None]])
        if row % 2 == 0:
            ids[row, start : start + length] = said[start:]
        right = said[start:] == ids[row, start : start + length]
        expected.append((bool(right.all()), bool(right[0])))
    facts = score(model, replace(asked, ids=ids), 16)
    exact, first = np.array(expected).T
    assert 0.3 < exact.mean() < 0.7
    assert np.array_equal(facts["exact_match"], exact) and np.array_equal(facts["first_token_hard"], first)


def test_recall_table(tiny_model, tiny_questions, forms, tmp_path):
    run, questions = forms
    save_checkpoint(tiny_model, tmp_path / "model")
    points = [Point("task0", 0, tmp_path / "model"), Point("end", 80, tmp_path / "model")]
    write_table(recall(run, points, tiny_questions, questions, torch.device("cpu")), tmp_path / "recall.parquet", RECALL)
    table = read_table(tmp_path / "recall.parquet", RECALL)
    assert set(table["form"]) == {
        "question",
        "biography",
        *(f"in_context_{shots}" for shots in (1, 2, 3, 4)),
        "shuffled_1",
        "shuffled_4",
        "stated",
        "stated_of_another",
        "among_values",
    }
    same = table.pivot_table(index=["form", "split", "kind", "metric"], columns="point", values="value")
    pd.testing.assert_series_equal(same["task0"], same["end"], check_names=False)
    facts = score(tiny_model.eval(), questions["biography"], 16)
    row = table.query("form == 'biography' and split == 'control' and kind == 'all' and metric == 'answer_nll' and point == 'end'")
    assert row["value"].item() == pytest.approx(facts.loc[facts["split"] == "control", "answer_nll"].astype(float).mean())


@pytest.mark.parametrize("known", ["biography", "question"])
def test_what_a_model_knows_in_one_form_alone_is_found_in_that_form_alone(tiny_model, tiny_questions, forms, known, tmp_path):
    """It learns facts of two persons in sentences of their biographies and not as questions, or the other way round. Of others it knows
    nothing in either form."""
    run, made = forms
    persons = np.concatenate([np.unique(tiny_questions.of(split).unit)[:2] for split in ("task0_test", "control")])
    asked = {form: made[form].of_units(persons) for form in ("question", "biography")}
    learn(tiny_model, asked[known].of("task0_test"))
    save_checkpoint(tiny_model, tmp_path / "model")
    table = recall(run, [Point("end", 80, tmp_path / "model")], tiny_questions, asked, torch.device("cpu"))
    rows = table[(table["kind"] == "all") & (table["metric"] == "exact_match")].set_index(["form", "split"])["value"]
    (other,) = {"question", "biography"} - {known}
    assert rows[known, "task0_test"] > 0.9
    assert max(rows[other, "task0_test"], rows["question", "control"], rows["biography", "control"]) < 0.3
    assert (rows["among_values", "task0_test"] > 0.9) == (known == "question"), "the choice is narrowed where the plain question is asked"


def learn(model, items) -> None:
    """Train the answers of these until they are known by heart."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    place = torch.arange(items.ids.shape[1])
    answered = (place >= items.prompt_length[:, None]) & (place < (items.prompt_length + items.answer_length)[:, None])
    for _ in range(60):
        logits = model(items.ids).logits[:, :-1][answered[:, 1:]]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, items.ids[answered]).backward()
        optimizer.step()
