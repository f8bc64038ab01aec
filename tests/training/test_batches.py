from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import sections
from tests.conftest import RESOURCES

from forgetting.config.biography import PRETRAINED_GROUPS
from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.scenarios.biography.batches import BiographyBatches
from forgetting.scenarios.biography.questions import read_questions
from forgetting.scenarios.biography.rendering import Renderer, read_templates
from forgetting.scenarios.biography.texts import Biographies
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, encode, load_tokenizer
from forgetting.training.batches import EpochOrder, QuestionBatches, epoch_steps, question_batch
from forgetting.training.step import BatchLoss


def test_an_epoch_shows_every_row_once_also_across_batches() -> None:
    order = EpochOrder(rows=10, batch_size=4, seed=0)
    drawn = np.concatenate([order.at(step) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()


def test_a_batch_depends_on_the_step_alone() -> None:
    first, second = EpochOrder(50, 8, seed=3), EpochOrder(50, 8, seed=3)
    later = second.at(17)
    assert [first.at(step).tolist() for step in range(20)][17] == later.tolist()


def test_question_batches_predict_answers_and_end_only(tiny_questions: Items) -> None:
    batch = question_batch(tiny_questions, np.array([4, 9]))
    targets = batch.ids[batch.row, batch.position + 1].tolist()
    expected = []
    for row in (4, 9):
        start, length = int(tiny_questions.prompt_length[row]), int(tiny_questions.answer_length[row])
        expected += tiny_questions.ids[row, start : start + length].tolist()
    assert targets == expected


def test_no_person_outside_the_training_group_is_in_any_batch(tiny_questions: Items) -> None:
    train = tiny_questions.of("task0_train")
    batches = QuestionBatches(train, 8, seed=0)
    allowed = {tuple(row) for row in train.ids.tolist()}
    width = train.ids.shape[1]
    for step in range(30):
        for row in batches.batch(step).ids.tolist():
            assert tuple(row + [0] * (width - len(row))) in allowed
    assert set(train.split) == {"task0_train"}


@pytest.fixture
def biography_batches(tiny_data: Path):
    def make(**options) -> BiographyBatches:
        people = pd.read_parquet(tiny_data / "people.parquet")
        tokenizer = load_tokenizer(tiny_data / "tokenizer")
        end = tokenizer.token_to_id(END_OF_TEXT)
        templates, questions = read_templates(RESOURCES / "templates"), read_questions(RESOURCES / "questions.yaml")
        renderer = Renderer(people, templates, questions, lambda strings: encode(tokenizer, strings), end)
        units = people.index[people["group"].isin(PRETRAINED_GROUPS)].to_numpy()
        config = sections.pretrain(
            steps=10,
            batch_size=4,
            sequence_length=options.pop("sequence_length", 128),
            optimizer=sections.optimizer(learning_rate=1e-3),
            **options,
        )
        return BiographyBatches(config, sections.data(), renderer, units, Biographies.load(tiny_data / "biographies.arrow").rows, 0, end)

    return make


@pytest.mark.parametrize("fresh", [True, False])
def test_document_rows_are_whole_biographies(biography_batches, tiny_data: Path, fresh: bool) -> None:
    tokenizer = load_tokenizer(tiny_data / "tokenizer")
    people = pd.read_parquet(tiny_data / "people.parquet").set_index("full_name")
    batches = biography_batches(fresh=fresh)
    seen = set()
    for step in range(batches.rows_per_epoch // 4):
        batch = batches.batch(step)
        for row, ids in enumerate(batch.ids.tolist()):
            text = tokenizer.decode(ids[: ids.index(0)])
            name = next(name for name in people.index if name in text)
            assert people.loc[name, "group"] in PRETRAINED_GROUPS
            assert text.count(name) == 6
            assert (batch.row == row).sum() == ids.index(0)  # every token but the first, the end token included
            seen.add(name)
    assert len(seen) == 24


def test_a_fresh_biography_longer_than_every_stored_one_is_not_cut(biography_batches) -> None:
    """The length at which stored and first epochs fit, and a later one does not."""
    batches = biography_batches(fresh=True)
    longest = [int(batches._epoch_rows(epoch).lengths.max()) for epoch in range(60)]
    enough = max(longest[0], int(batches.fixed.lengths.max()))
    first = next(epoch for epoch, length in enumerate(longest) if length > enough)
    shorter = biography_batches(fresh=True, sequence_length=enough)
    steps = batches.rows_per_epoch // 4
    for step in range(first * steps):
        assert shorter.batch(step).ids.shape[1] <= enough
    with pytest.raises(StudyError, match=f"sequence_length {enough} would cut biographies, which have up to {longest[first]} tokens"):
        shorter.batch(first * steps)


def test_fresh_epochs_differ_and_fixed_ones_do_not(biography_batches) -> None:
    fresh, fixed = biography_batches(fresh=True), biography_batches(fresh=False)
    assert not np.array_equal(fresh._epoch_rows(0).tokens, fresh._epoch_rows(1).tokens)
    assert np.array_equal(fixed._epoch_rows(0).tokens, fixed._epoch_rows(1).tokens)


def test_stream_packing_fills_rows_and_does_not_predict_across_documents(biography_batches) -> None:
    batches = biography_batches(fresh=False, packing="stream")
    batch = batches.batch(0)
    assert batch.ids.shape == (4, 128)
    ends = (batch.ids == 0).nonzero().tolist()
    predicted_from = set(zip(batch.row.tolist(), batch.position.tolist(), strict=True))
    assert ends and all((row, column) not in predicted_from for row, column in ends)


def test_document_attention_equals_separate_documents(biography_batches, tiny_model) -> None:
    """The loss of a packed row under document attention is the mean over its documents run alone."""
    batch = biography_batches(fresh=False, packing="stream").batch(1)
    total, count = 0.0, 0
    with torch.no_grad():
        packed = BatchLoss(tiny_model)(batch).item()
        for ids, documents in zip(batch.ids, batch.documents, strict=True):
            for document in documents.unique():
                own = ids[documents == document]
                if len(own) > 1:
                    log_probability = tiny_model(own[None]).logits[0, :-1].log_softmax(-1)
                    total -= log_probability[torch.arange(len(own) - 1), own[1:]].sum().item()
                    count += len(own) - 1
    assert packed == pytest.approx(total / count, rel=1e-4)


def test_packed_attention_sees_other_documents(biography_batches, tiny_model) -> None:
    with torch.no_grad():
        packed = BatchLoss(tiny_model)(biography_batches(fresh=False, packing="stream", attention="packed").batch(1))
        separate = BatchLoss(tiny_model)(biography_batches(fresh=False, packing="stream").batch(1))
    assert packed.item() != pytest.approx(separate.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("questions", "batch", "epochs", "steps"), [(300_000, 48, 10, 62_500), (300_000, 48, 1, 6_250), (900, 16, 1, 57), (900, 16, 0.25, 15)]
)
def test_epoch_steps(questions: int, batch: int, epochs: float, steps: int) -> None:
    assert epoch_steps(questions, batch, epochs) == steps
