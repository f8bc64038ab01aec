from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forgetting.data.items import Items, pad
from forgetting.data.ragged import Ragged
from forgetting.schemas.items import ITEMS
from forgetting.tables import TableError, read_table


def test_questions_hold_prompt_answer_and_end(tiny_data: Path, tiny_questions: Items) -> None:
    for row, expected in enumerate(read_table(tiny_data / "items.parquet", ITEMS).itertuples()):
        length = int(tiny_questions.prompt_length[row] + tiny_questions.answer_length[row])
        assert tiny_questions.ids[row, :length].tolist() == [*expected.prompt_ids, *expected.answer_ids]


def test_padding_goes_to_the_right() -> None:
    rows = Ragged.from_lists([[5], [6, 7, 8], [9, 9]])
    assert pad(rows, np.array([2, 0])).tolist() == [[9, 9], [5, 0]]


def test_select_by_mask_and_by_index_agree(tiny_questions: Items) -> None:
    mask = tiny_questions.kind == "major"
    by_mask, by_index = tiny_questions.select(mask), tiny_questions.select(np.flatnonzero(mask))
    assert torch.equal(by_mask.ids, by_index.ids) and set(by_mask.kind) == {"major"}


def test_joined_questions_keep_their_rows(tiny_questions: Items) -> None:
    left, right = tiny_questions.of("control"), tiny_questions.of("task1")
    both = left.joined_with(right)
    assert len(both) == len(left) + len(right)
    assert torch.equal(both.ids[len(left) :], right.ids[:, : both.ids.shape[1]])
    assert both.split[: len(left)].tolist() == left.split.tolist()


def test_first_persons_of_each_group(tiny_questions: Items) -> None:
    few = tiny_questions.first_units(3)
    for split in np.unique(tiny_questions.split):
        assert sorted(set(few.unit[few.split == split])) == sorted(set(tiny_questions.unit[tiny_questions.split == split]))[:3]
    assert tiny_questions.first_units(None) is tiny_questions


def test_shuffled_answers_are_those_of_another_person(tiny_questions: Items) -> None:
    train = tiny_questions.of("task0_train")
    shuffled = train.with_shuffled_answers(seed=0)
    position = {}
    for row in range(len(train)):
        start = int(train.prompt_length[row])
        assert torch.equal(shuffled.ids[row, :start], train.ids[row, :start])
        answer = tuple(shuffled.ids[row, start : start + int(shuffled.answer_length[row])].tolist())
        own = tuple(train.ids[row, start : start + int(train.answer_length[row])].tolist())
        position.setdefault(train.kind[row], ([], []))
        position[train.kind[row]][0].append(answer)
        position[train.kind[row]][1].append(own)
    for shuffled_answers, own_answers in position.values():
        assert sorted(shuffled_answers) == sorted(own_answers)
    birthdays = position["birthday"]
    assert all(new != old for new, old in zip(*birthdays, strict=True))


@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_a_truncated_file_is_named(tiny_data: Path, tmp_path: Path, keep: float) -> None:
    content = (tiny_data / "items.parquet").read_bytes()
    (tmp_path / "items.parquet").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(TableError, match=r"items\.parquet"):
        Items.load(tmp_path / "items.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"items\.parquet: no such file"):
        Items.load(tmp_path / "items.parquet")
