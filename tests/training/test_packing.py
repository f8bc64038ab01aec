"""Where the tokens of a batch go, and who sees whom."""

from __future__ import annotations

import pytest
import torch

from forgetting.data.items import Items
from forgetting.training.attention import document_mask
from forgetting.training.batches import QuestionBatches, question_batch
from forgetting.training.packing import Capacity, Packer


def test_packing_keeps_each_token_in_its_place_and_no_padding(tiny_questions: Items) -> None:
    """Against the rows themselves: what predicts what, at which place, in a document of which tokens."""
    batch = question_batch(tiny_questions, torch.arange(9).numpy())
    packed = Packer([batch])(batch)
    for start, stop, row in zip(packed.bounds, packed.bounds[1:], range(9), strict=False):
        length = int(tiny_questions.prompt_length[row] + tiny_questions.answer_length[row]) - 1  # the end token predicts nothing
        assert packed.ids[0, start:stop].tolist() == tiny_questions.ids[row, :length].tolist()
        assert packed.places[0, start:stop].tolist() == list(range(length))
    count = len(batch.row)
    assert packed.target[:count].tolist() == batch.ids[batch.row, batch.position + 1].tolist()
    assert packed.ids[0, packed.predicting[:count]].tolist() == batch.ids[batch.row, batch.position].tolist()
    assert packed.share.sum().item() == pytest.approx(1) and not packed.share[count:].any()
    tokens, room = int(packed.bounds[9]), packed.ids.shape[1]
    assert tokens == sum(tiny_questions.prompt_length[:9] + tiny_questions.answer_length[:9] - 1) and room % 128 == 0
    assert packed.bounds[-1] == room and (packed.bounds.diff() >= 0).all() and packed.bounds.diff().max() <= packed.longest
    assert packed.places.max() < packed.longest


def test_batches_get_the_same_shape_until_one_does_not_fit(tiny_questions: Items) -> None:
    batches = QuestionBatches(tiny_questions, 8, 0)
    pack = Packer([batches.batch(0)])
    shapes = {pack(batches.batch(number)).shape for number in range(30)}
    large = pack(question_batch(tiny_questions, torch.arange(40).numpy()))
    assert len(shapes) == 1 and large.shape not in shapes
    assert pack(batches.batch(0)).shape == large.shape
    assert Capacity.expected([Capacity(100, 30, 8, 40), Capacity(140, 30, 8, 40)]) == Capacity(256, 64, 16, 128)
    assert Capacity.expected([Capacity(49056, 512, 500, 48000)] * 2).tokens == 49152, "no room where nothing varies"


def test_tokens_see_their_own_document_and_what_is_before_them() -> None:
    mask = document_mask(torch.tensor([0, 2, 2, 5], dtype=torch.int32), 5)
    seen = [[int(column) for column in row.nonzero()[:, 0]] for row in mask]
    assert seen == [[0], [0, 1], [2], [2, 3], [2, 3, 4]]
