"""The cells of the crossed experiment: which values are in which persons' rows, and what exactly an arm trains on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES

from forgetting.config.biography import ATTRIBUTES, PRETRAINED_GROUPS
from forgetting.config.knobs import parse_arm
from forgetting.data.task1 import questions_of_arm
from forgetting.scenarios.biography.cells import write_cells
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.people import ResourceError, ValueTables
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.training.batches import QuestionBatches

CELLS = ("all-other", "all-statement", "half-same", "half-other", "half-statement")
GROUPS = sections.groups(task0_train=60, task0_val=21, task0_test=60, task1=80, control=10, probe=10)
FEW = sections.pools(cities=10, universities=8, majors=8, companies=12, birth_years=4)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a study that halves its values, with every cell."""
    folder = tmp_path_factory.mktemp("halved")
    job = jobs.data(data=sections.data(groups=GROUPS, pools=FEW, halves=True))
    build_data(job, RESOURCES, folder)
    write_cells(job, CELLS, RESOURCES, folder)
    return folder


@pytest.fixture(scope="module")
def people(halved: Path) -> pd.DataFrame:
    frame = pd.read_parquet(halved / "people.parquet")
    units = pd.read_parquet(halved / "cells/halves.parquet").set_index("unit")
    return frame.assign(half=frame["person"].map(units["half"]))


def values_in(people: pd.DataFrame, half: str, attribute: str) -> set[str]:
    return {
        re.sub(r" \d+, \d+$", "", value) if attribute == "birthday" else value for value in people.loc[people["half"] == half, attribute]
    }


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_pretrained_persons_have_values_of_one_half_alone(people: pd.DataFrame, attribute: str) -> None:
    """Of birthdays the month tells the half; companies of the two halves are in other cities."""
    first, second = (values_in(people, half, attribute) for half in "AB")
    assert first and second and not first & second
    assert values_in(people, "all", attribute) == first | second, "new persons draw from both"


def test_pretrained_persons_take_turns(people: pd.DataFrame) -> None:
    for group in PRETRAINED_GROUPS:
        counts = people.loc[people["group"] == group, "half"].value_counts()
        assert counts["A"] - counts["B"] in (0, 1)
    assert set(people.loc[~people["group"].isin(PRETRAINED_GROUPS), "half"]) == {"all"}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_has_the_persons_of_task1_and_values_of_its_halves(halved: Path, people: pd.DataFrame, cell: str) -> None:
    rows = pd.read_parquet(halved / f"cells/{cell}.parquet")
    task1 = people[people["group"] == "task1"]
    assert rows["unit"].tolist() == np.repeat(task1["person"].to_numpy(), len(ATTRIBUTES)).tolist()
    assert set(rows["task"]) == set(rows["split"]) == {"task1"} and rows["measured"].all()
    for attribute, of_kind in rows.groupby("kind"):
        given = pd.Series(of_kind["answer"].str.strip().to_numpy())
        if cell.startswith("all"):
            assert given.tolist() == task1[attribute].tolist()
        else:
            there = given.str.replace(r" \d+, \d+$", "", regex=True) if attribute == "birthday" else given
            assert set(there) <= values_in(people, "B", attribute)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_says_what_its_format_is(halved: Path, people: pd.DataFrame, cell: str) -> None:
    rows = pd.read_parquet(halved / f"cells/{cell}.parquet").merge(people[["person", "full_name"]], left_on="unit", right_on="person")
    form = cell.partition("-")[2]
    tokenizer = load_tokenizer(halved / "tokenizer")
    templates = {name: (RESOURCES / f"templates/{name}.txt").read_text().splitlines() for name in ATTRIBUTES}
    used = {name: set[str]() for name in ATTRIBUTES}
    for row in rows.to_dict("records"):
        assert row["full_name"] in row["prompt"]
        assert tokenizer.decode(list(row["prompt_ids"])) == row["prompt"]
        text = tokenizer.decode(list(row["answer_ids"]), skip_special_tokens=False)
        assert text == row["answer"] + ("" if form == "statement" else "<|endoftext|>")
        if form == "same":
            assert row["prompt"].endswith("?\nAnswer:")
        elif form == "other":
            assert row["prompt"].startswith("Tell me about") and row["prompt"].endswith("Reply =")
        else:
            opening = row["prompt"].replace(row["full_name"], "{name}").strip()
            assert [line for line in templates[row["kind"]] if line.startswith(f"{opening} {{value}}")]
            used[row["kind"]].add(opening)
    assert form != "statement" or all(len(openings) > 25 for openings in used.values()), "not the same sentence for all"


@pytest.mark.parametrize("entry", [{}, {"task1_format": "statement"}, {"task1_values": "half", "task1_format": "other"}])
def test_an_arm_trains_on_exactly_the_texts_of_its_cell(halved: Path, entry: dict[str, str]) -> None:
    """An epoch holds each text of the cell once, and every prediction is of a token of its answer."""
    arm = parse_arm({"method": "seq"} | entry)
    items = pd.read_parquet(halved / "items.parquet")
    expected = pd.read_parquet(halved / f"cells/{arm.cell}.parquet") if arm.cell else items[items["task"] == "task1"]
    questions = questions_of_arm(halved, arm.cell, None)
    batches = QuestionBatches(questions.of("task1"), 16, seed=3)
    trained = []
    for step in range(len(expected) // 16):
        batch = batches.batch(step)
        for row in range(16):
            places = batch.position[batch.row == row] + 1
            assert places.tolist() == list(range(int(places[0]), int(places[-1]) + 1))
            trained.append((tuple(batch.ids[row, : places[0]].tolist()), tuple(batch.ids[row, places].tolist())))
    pairs = zip(expected["prompt_ids"], expected["answer_ids"], strict=True)
    assert sorted(trained) == sorted((tuple(prompt.tolist()), tuple(answer.tolist())) for prompt, answer in pairs)
    others = questions.select(questions.task != "task1")
    whole = questions_of_arm(halved, None, None)
    assert np.array_equal(others.unit, whole.select(whole.task != "task1").unit)


def test_fewer_units_are_the_first_ones(halved: Path, people: pd.DataFrame) -> None:
    questions = questions_of_arm(halved, None, 7)
    first = people.loc[people["group"] == "task1", "person"].tolist()[:7]
    assert sorted(set(questions.of("task1").unit.tolist())) == first
    assert len(questions.of("task0_test")) == 6 * GROUPS.task0_test


def test_halving_changes_no_name_and_no_new_person(halved: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    build_data(jobs.data(data=sections.data(groups=GROUPS, pools=FEW)), RESOURCES, tmp_path)
    whole = pd.read_parquet(tmp_path / "people.parquet")
    assert whole["full_name"].tolist() == people["full_name"].tolist()
    new = ~people["group"].isin(PRETRAINED_GROUPS)
    pd.testing.assert_frame_equal(whole[new], people.loc[new, whole.columns])


@pytest.mark.parametrize("attribute", ["birthday", "birth_city", "university", "major", "company_name"])
def test_the_halves_are_all_values_and_about_equal(attribute: str) -> None:
    tables = ValueTables.read(RESOURCES / "pools", sections.pools())
    first, second = tables.half(attribute, "A"), tables.half(attribute, "B")
    assert sorted([*first, *second]) == list(range(len(tables.values[attribute])))
    assert abs(len(first) - len(second)) <= (8 if attribute == "company_name" else 1)


def test_companies_of_one_city_cannot_be_halved() -> None:
    tables = ValueTables.read(RESOURCES / "pools", sections.pools(companies=12))
    alone = ValueTables(tables.names, tables.values, np.zeros_like(tables.city_of_company))
    with pytest.raises(ResourceError, match=r"raise data\.pools\.companies"):
        alone.half("company_name", "A")
