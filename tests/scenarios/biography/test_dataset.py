from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES, TINY_GROUPS
from transformers import AutoTokenizer

from forgetting.config.biography import ATTRIBUTES, PRETRAINED_GROUPS
from forgetting.data.ragged import Ragged
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.floors import modal_answer_floors
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT
from forgetting.schemas.items import ITEMS
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table


def test_every_row_keeps_the_token_boundary_rule(tiny_data: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_data / "tokenizer")
    for row in read_table(tiny_data / "items.parquet", ITEMS).itertuples():
        assert row.answer.startswith(" ")
        joined = tokenizer(row.prompt + row.answer + END_OF_TEXT)["input_ids"]
        assert joined == [*row.prompt_ids, *row.answer_ids]
        assert row.answer_ids[-1] == tokenizer.eos_token_id


def test_biographies_open_as_a_dataset_and_hold_pretrained_persons_only(tiny_data: Path) -> None:
    found = datasets.Dataset.from_file(str(tiny_data / "biographies.arrow"))
    people = pd.read_parquet(tiny_data / "people.parquet").set_index("person")
    pretrained = people.index[people["group"].isin(PRETRAINED_GROUPS)]
    assert sorted(set(found["person"])) == pretrained.tolist()
    assert len(found) == 5 * len(pretrained)
    tokenizer = AutoTokenizer.from_pretrained(tiny_data / "tokenizer")
    for row in found:
        text = tokenizer.decode(row["input_ids"])
        person = people.loc[row["person"]]
        assert text.count(person["full_name"]) == 6
        assert all(person[name] in text for name in ATTRIBUTES)
        assert ".." not in text and text.endswith(END_OF_TEXT)


def test_no_person_outside_pretraining_is_named_in_a_biography(tiny_data: Path) -> None:
    found = datasets.Dataset.from_file(str(tiny_data / "biographies.arrow"))
    tokenizer = AutoTokenizer.from_pretrained(tiny_data / "tokenizer")
    text = " ".join(tokenizer.batch_decode(list(found["input_ids"])))
    people = pd.read_parquet(tiny_data / "people.parquet")
    for name in people.loc[~people["group"].isin(PRETRAINED_GROUPS), "full_name"]:
        assert name not in text


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tiny_data: Path, tmp_path: Path) -> None:
    run = jobs.data(data=sections.data(groups=TINY_GROUPS))
    build_data(run, RESOURCES, tmp_path / "same")
    build_data(run.model_copy(update={"seed": 1}), RESOURCES, tmp_path / "other")
    for name in ("people.parquet", "items.parquet", "biographies.arrow", "tokenizer/tokenizer.json"):
        assert (tmp_path / "same" / name).read_bytes() == (tiny_data / name).read_bytes()
    assert (tmp_path / "other" / "people.parquet").read_bytes() != (tiny_data / "people.parquet").read_bytes()


def test_a_vocabulary_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    run = jobs.data(data=sections.data(groups=TINY_GROUPS), tokenizer=sections.tokenizer(vocabulary_size=100))
    with pytest.raises(ValueError, match=r"raise tokenizer\.vocabulary_size"):
        build_data(run, RESOURCES, tmp_path)
    assert not (tmp_path / "items.parquet").exists()


def test_floors_against_closed_form(tmp_path: Path) -> None:
    """With uniform values the modal answer is right for one in as many persons as there are values."""
    groups = sections.groups(task0_train=4000, task0_val=1, task0_test=4000, task1=1, control=1)
    run = jobs.data(data=sections.data(groups=groups, biographies_per_person=1))
    build_data(run, RESOURCES, tmp_path)
    floors = read_table(tmp_path / "floors.parquet", METRICS)
    test = floors[(floors["split"] == "task0_test") & (floors["metric"] == "exact_match")].set_index("kind")
    for attribute, values in (("birth_city", 200), ("university", 300), ("major", 100), ("company_name", 263)):
        assert test.loc[attribute, "low"] <= 1 / values <= test.loc[attribute, "high"]
    first = floors[(floors["split"] == "task0_test") & (floors["metric"] == "first_token_hard")].set_index("kind")
    assert first.loc["birthday", "value"] == pytest.approx(1 / 12, abs=0.02)
    names = sections.pools()
    universities = (RESOURCES / "pools" / "universities.txt").read_text().splitlines()[: names.universities]
    share = pd.Series([name.split()[0] for name in universities]).value_counts(normalize=True).iloc[0]
    assert first.loc["university", "value"] == pytest.approx(share, abs=0.02)


def test_floors_by_hand() -> None:
    groups = ["task0_train"] * 3 + ["control"] * 2 + ["task0_val", "task0_test", "task1"]
    people = pd.DataFrame({"group": groups} | {name: list("aababbbb") for name in ATTRIBUTES})
    answers = Ragged.from_lists([[1] if value == "a" else [2] for value in "aababbbb" for _ in ATTRIBUTES])
    floors = modal_answer_floors(people, answers).set_index(["split", "kind", "metric"])["value"]
    assert floors["task0_train", "major", "exact_match"] == pytest.approx(2 / 3)
    assert floors["control", "all", "first_token_hard"] == pytest.approx(1 / 2)


def test_the_card_counts_what_is_there(tiny_data: Path) -> None:
    card = json.loads((tiny_data / "card.json").read_text())
    assert card["persons"] == TINY_GROUPS.model_dump()
    assert card["questions"] == 6 * TINY_GROUPS.total
    biographies = datasets.Dataset.from_file(str(tiny_data / "biographies.arrow"))
    assert card["biography tokens"] == int(np.sum([len(ids) for ids in biographies["input_ids"]]))


def test_other_wordings_share_no_token_with_the_questions_but_the_name(tiny_data: Path) -> None:
    """And ask the same of the same persons, who are those of task0_train: the answers are equal, token by token."""
    asked, other = (read_table(tiny_data / name, ITEMS) for name in ("items.parquet", "other_wordings.parquet"))
    asked = asked[asked["split"] == "task0_train"]
    tokenizer = AutoTokenizer.from_pretrained(tiny_data / "tokenizer")
    people = pd.read_parquet(tiny_data / "people.parquet").set_index("person")["full_name"]
    assert other[["unit", "kind", "answer"]].to_numpy().tolist() == asked[["unit", "kind", "answer"]].to_numpy().tolist()
    assert [list(row) for row in other["answer_ids"]] == [list(row) for row in asked["answer_ids"]]
    names = {person: set(tokenizer(" " + name)["input_ids"]) for person, name in people.items()}
    words = {token for row in asked.itertuples() for token in set(row.prompt_ids) - names[row.unit]}
    for row in other.itertuples():
        assert set(row.prompt_ids) & names[row.unit] == names[row.unit]
        assert not (set(row.prompt_ids) - names[row.unit]) & words


def test_probe_persons_are_in_no_stage_and_change_no_other_person(tiny_data: Path, tmp_path: Path) -> None:
    """Their biographies are in a file of their own, and every person of another group is the same without them."""
    people = pd.read_parquet(tiny_data / "people.parquet")
    probe = set(people.loc[people["group"] == "probe", "person"])
    assert set(datasets.Dataset.from_file(str(tiny_data / "probe_biographies.arrow"))["person"]) == probe
    assert not probe & set(datasets.Dataset.from_file(str(tiny_data / "biographies.arrow"))["person"])
    fewer = sections.data(groups=TINY_GROUPS.model_copy(update={"probe": 1}))
    build_data(jobs.data(data=fewer), RESOURCES, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "people.parquet")[:-1], people[: -len(probe)])
