"""A user's examples: what is read from which files, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from tests.diagnosed import tokenizer, write_rows

from forgetting.scenarios import jsonl
from forgetting.scenarios.jsonl import ExamplesError, Reading, cut, read_examples, split_units

ROWS = [{"prompt": f"color of unit{number} ?", "answer": f" color{number % 5}"} for number in range(20)]
WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": lambda path: write_rows(path, ROWS),
    "rows.json": lambda path: path.write_text(json.dumps(ROWS)),
    "rows.csv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False),
    "rows.tsv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t"),
    "rows.parquet": lambda path: pd.DataFrame(ROWS).to_parquet(path),
    "rows": lambda path: datasets.Dataset.from_list(ROWS).save_to_disk(str(path)),
    "bom.jsonl": lambda path: path.write_text("\ufeff" + "\n".join(map(json.dumps, ROWS)), encoding="utf-8"),
    "bom.csv": lambda path: path.write_text("\ufeff" + pd.DataFrame(ROWS).to_csv(index=False), encoding="utf-8"),
    "crlf.jsonl": lambda path: path.write_bytes("\r\n".join(map(json.dumps, ROWS)).encode()),
    "crlf.csv": lambda path: path.write_bytes(pd.DataFrame(ROWS).to_csv(index=False).replace("\n", "\r\n").encode()),
    "blank-lines.jsonl": lambda path: path.write_text("\n\n".join(map(json.dumps, ROWS)) + "\n\n"),
    "a {strange} name [1].jsonl": lambda path: write_rows(path, ROWS),
}


def reading(**keys: Any) -> Reading:
    return Reading(**({"tokenizer": tokenizer(), "end_token": True, "separator": "", "longest": 64} | keys))


@pytest.fixture(scope="module")
def usual() -> Reading:
    return reading()


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_examples(name: str, usual: Reading, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found, left_out = read_examples(tmp_path / name, usual, seed=0)
    assert [(each.prompt, each.answer) for each in found] == [(row["prompt"], row["answer"]) for row in ROWS]
    assert not left_out
    assert tokenizer().decode([*found[3].prompt_ids, *found[3].answer_ids]).split() == ["color", "of", "unit3", "?", "color3", "<end>"]


ROW = {"prompt": "color of unit1 ?", "answer": " color1"}
BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", "the file is empty"),
    "no rows": ("a.csv", b"prompt,answer\n", "has no rows"),
    "one column missing": ("a.jsonl", b'{"prompt": "x"}\n', "has no column answer (nor messages); it has prompt"),
    "other columns": ("a.csv", b"question,reply\na,b\n", "it has question, reply"),
    "not JSON in line 2": ("a.jsonl", json.dumps(ROW).encode() + b"\nnonsense\n", "line 2 is not JSON"),
    "a line that is a list": ("a.jsonl", json.dumps(ROW).encode() + b"\n[1, 2]\n", "line 2 is no object"),
    "binary": ("a.jsonl", bytes(range(128, 256)), "not in UTF-8"),
    "binary Parquet": ("a.parquet", bytes(range(256)), "cannot be read as PARQUET"),
    "latin-1": ("a.jsonl", '{"prompt": "é", "answer": "b"}'.encode("latin-1"), "not in UTF-8"),
    "another suffix": ("a.xlsx", b"x", "files must end in .jsonl"),
    "no suffix": ("a", b"x", "files must end in .jsonl"),
    "only empty answers": ("a.jsonl", b'{"prompt": "x", "answer": ""}\n', "1 without a prompt or an answer"),
    "only null": ("a.jsonl", b'{"prompt": null, "answer": null}\n', "no row can be used"),
    "all answers in conflict": (
        "a.jsonl",
        b'{"prompt": "color of unit1 ?", "answer": "color1"}\n{"prompt": "color of unit1 ?", "answer": "color2"}\n',
        "2 of a prompt that has several answers",
    ),
    "too long": ("a.jsonl", json.dumps({"prompt": "color " * 100, "answer": "color1"}).encode(), "longer than the 64 tokens"),
    "choices that are no list": ("a.jsonl", json.dumps(ROW | {"choices": "one or two"}).encode(), "row 1: choices must be a list"),
    "wordings that are no list": ("a.csv", b"prompt,answer,wordings\na,b,other\n", "row 1: wordings must be a list"),
    "messages without an answer": (
        "a.jsonl",
        json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode(),
        "the last one the assistant's",
    ),
    "messages as text": ("a.jsonl", json.dumps({"messages": ["hello", "you"]}).encode(), "messages must be a list of role and content"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_message_that_names_it(case: str, usual: Reading, tmp_path: Path) -> None:
    name, content, message = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExamplesError) as error:
        read_examples(tmp_path / name, usual, seed=0)
    assert message in str(error.value) and str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_of_something_else(usual: Reading, tmp_path: Path) -> None:
    with pytest.raises(ExamplesError, match="no such file"):
        read_examples(tmp_path / "nothing.jsonl", usual, 0)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ExamplesError, match="no folder of datasets"):
        read_examples(tmp_path / "folder", usual, 0)
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(ExamplesError, match="holds the splits train"):
        read_examples(tmp_path / "splits", usual, 0)


def test_repeated_and_conflicting_rows_are_left_out_and_counted(usual: Reading, tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0], {"prompt": ROWS[1]["prompt"], "answer": " color9"}]
    found, left_out = read_examples(write_rows(tmp_path / "a.jsonl", rows), usual, 0)
    assert len(found) == len(ROWS) - 1
    assert left_out == {"repeated": 1, "of a prompt that has several answers": 2}


def test_texts_of_a_csv_stay_texts(tmp_path: Path) -> None:
    """Neither is 007 a number, nor NA missing."""
    (tmp_path / "a.csv").write_text('prompt,answer,choices\nwhere ?,007,"[""007"", ""8""]"\ncolor ?,NA,"[""NA"", ""b""]"\n')
    found, _ = read_examples(tmp_path / "a.csv", reading(choices=True), 0)
    assert [(each.answer, each.choices) for each in found] == [("007", ["007", "8"]), ("NA", ["NA", "b"])]


def test_numbers_in_json_become_texts(usual: Reading, tmp_path: Path) -> None:
    found, _ = read_examples(write_rows(tmp_path / "a.jsonl", [{"prompt": "how many ?", "answer": 3}]), usual, 0)
    assert found[0].answer == "3"


def test_the_answer_of_a_choice_must_be_one_of_them(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [ROW | {"choices": [" color2", " color3"]}])
    with pytest.raises(ExamplesError, match="choices must be two or more texts, and the answer ' color1' one of them"):
        read_examples(path, reading(choices=True), 0)


def test_of_a_chat_the_last_turn_is_the_answer(usual: Reading, tmp_path: Path) -> None:
    turns = [("user", "where is unit1 ?"), ("assistant", "town1"), ("user", "color of unit1 ?"), ("assistant", "color2")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns], "unit": 7}]
    found, _ = read_examples(write_rows(tmp_path / "a.jsonl", rows), usual, 0)
    told = tokenizer().decode(found[0].answer_ids).split()
    assert told == ["color2", "<end>"] and found[0].unit == "7" and found[0].answer == "color2"
    whole = tokenizer().apply_chat_template(rows[0]["messages"], tokenize=False)
    assert tokenizer()(whole)["input_ids"] == [*found[0].prompt_ids, *found[0].answer_ids]


def test_a_tokenizer_without_a_chat_template_is_named(tmp_path: Path) -> None:
    plain = tokenizer()
    plain.chat_template = None
    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    with pytest.raises(ExamplesError, match="no chat template"):
        read_examples(write_rows(tmp_path / "a.jsonl", rows), reading(tokenizer=plain), 0)


def test_a_long_file_is_sampled(usual: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MOST_ROWS", 8)
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    found, _ = read_examples(path, usual, 0)
    assert len(found) == 8 and found == read_examples(path, usual, 0)[0] and found != read_examples(path, usual, 1)[0]
    assert [each.row for each in found] == sorted(each.row for each in found)


def test_units_are_never_in_both_halves(usual: Reading, tmp_path: Path) -> None:
    rows = [row | {"unit": f"u{number // 2}"} for number, row in enumerate(ROWS)]
    found, _ = read_examples(write_rows(tmp_path / "a.jsonl", rows), usual, 0)
    train, test = split_units(found, 100, 0.5, 0)
    assert len(train) == len(test) == 5 and not train & test
    train, test = split_units(found, 6, 0.5, 0)
    assert len(train | test) == 6
    assert {each.unit for each in cut(found, 3, 0)} < {f"u{number}" for number in range(10)}


@pytest.mark.parametrize("units", [1, 3])
def test_too_few_units_are_refused(units: int, usual: Reading, tmp_path: Path) -> None:
    found, _ = read_examples(write_rows(tmp_path / "a.jsonl", ROWS[:units]), usual, 0)
    with pytest.raises(ExamplesError, match=f"only {units} units"):
        split_units(found, 100, 0.5, 0)


def test_answers_that_stand_in_the_prompt_are_known_as_such(usual: Reading, tmp_path: Path) -> None:
    rows = [ROW, {"prompt": "is color1 or color2 ?", "answer": " color2"}]
    found, _ = read_examples(write_rows(tmp_path / "a.jsonl", rows), usual, 0)
    assert [each.copyable for each in found] == [False, True]
