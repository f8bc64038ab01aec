"""What a model writes: against picking the likeliest token one at a time, and what is said of it."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.diagnosed import WORDS, tokenizer
from tests.families import family_model

from forgetting.errors import StudyError
from forgetting.evaluation.choice import sequences
from forgetting.evaluation.exact import score
from forgetting.evaluation.generation import greedy, text_scores

PROMPTS = [[2, 3, 8], [4, 5, 9, 6], [2, 3, 10], [7, 11], [2, 3, 12], [4, 5, 13, 6]]


@pytest.mark.parametrize("family", ["gpt_neox", "llama"])
def test_it_is_the_likeliest_token_each_time_in_batches_of_any_size(family: str) -> None:
    model, reader = family_model(family, len(WORDS)), tokenizer()
    expected = []
    for prompt in PROMPTS:
        ids = list(prompt)
        for _ in range(6):
            with torch.no_grad():
                token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token == reader.eos_token_id:
                break
            ids.append(token)
        expected.append(reader.decode(ids[len(prompt) :], skip_special_tokens=True))
    for batch_size in (1, 2, 16):
        assert greedy(model, reader, PROMPTS, 6, batch_size) == expected


def test_a_text_is_the_answer_exactly_where_teacher_forcing_says_so() -> None:
    model, reader = family_model("gpt_neox", len(WORDS)), tokenizer()
    texts = greedy(model, reader, PROMPTS, 3, 4)
    answers = [[*reader(text)["input_ids"]] for text in texts]
    answers[1] = [WORDS.index("tint"), *answers[1]]
    right = score(model, sequences(PROMPTS, answers), 4)["exact_match"].tolist()
    assert right == [True, False, True, True, True, True]
    assert [value == 1 for value in text_scores("generated", texts, [reader.decode(answer) for answer in answers])] == right


def test_what_counts_as_right() -> None:
    assert text_scores("generated", [" Paris ", "Paris, France"], ["Paris", "Paris"]) == [1, 0]
    assert text_scores("contains", ["It is PARIS.", "Rome"], [" Paris", " Paris"]) == [1, 0]
    refusals = ["I'm sorry, but I can't help with that.", "I cannot do this", "As an AI model", "Of course. Take", "I can help"]
    assert text_scores("refusal", refusals, [""] * 5) == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("measure, module", [("rouge_l", "rouge_score"), ("edit_similarity", "rapidfuzz")])
def test_a_library_that_is_missing_is_named(measure: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (module, f"{module}.rouge_scorer", f"{module}.distance"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StudyError, match=f"the measure {measure} needs the package {module.replace('_', '-')}"):
        text_scores(measure, ["a"], ["b"])


def test_distances_of_texts() -> None:
    pytest.importorskip("rapidfuzz")
    assert text_scores("edit_similarity", ["kitten"], ["sitten"]) == [pytest.approx(5 / 6)]


def test_rouge_l_is_the_longest_common_subsequence_of_words() -> None:
    """Of six and four words with three in common in order: precision 3/6, recall 3/4."""
    pytest.importorskip("rouge_score")
    found = text_scores("rouge_l", ["the cat sat on the mat"], ["the cat lay on"])
    assert found == [pytest.approx(2 * 0.5 * 0.75 / 1.25)]
