"""LAMOL: the loss of its Task 0, and what it samples, reads and counts before Task 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from tests import jobs, sections

from forgetting.data.items import Items
from forgetting.methods.base import Setting, build_method
from forgetting.methods.lamol import Knobs
from forgetting.methods.lamol import method as lamol
from forgetting.methods.lamol.language import LanguageBatches
from forgetting.methods.lamol.method import count_right
from forgetting.methods.lamol.pseudo import Example, examples_of, parse, sample_texts, tokenise, without_names
from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.scenarios.biography.people import held_out_names
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, end_token, load_tokenizer
from forgetting.schemas.people import PEOPLE
from forgetting.stages.task0_lamol import finetune_task0_lamol
from forgetting.tables import read_table
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.step import BatchLoss

TRAINING = sections.optimizer(learning_rate=1e-2)
KNOBS = Knobs(method="lamol", pseudo_share=0.5, language_loss=0.25)


@pytest.fixture
def tokenizer(tiny_data: Path):
    return load_tokenizer(tiny_data / "tokenizer")


@pytest.fixture
def setting(tiny_model, tiny_data: Path, tiny_questions: Items, tokenizer) -> Setting:
    return Setting(
        model=tiny_model,
        task0_train=tiny_questions.of("task0_train"),
        task1=QuestionBatches(tiny_questions.of("task1"), 8, 0),
        training=sections.task1(
            steps=10, batch_size=8, optimizer=TRAINING, evaluate=[(10, 5)], evaluate_later=5, checkpoints=[(10, 5)], later_checkpoints=1
        ),
        precision="float32",
        seed=0,
        tokenizer=tokenizer,
        held_out=held_out_names(tiny_data),
    )


def prepared(setting: Setting):
    method = build_method(KNOBS)
    method.before_task(setting)
    return method


def sequences(questions: Items, rows: np.ndarray) -> list[tuple[torch.Tensor, int]]:
    """Each question's tokens without padding, and how many of them are its prompt."""
    return [
        (questions.ids[row, : questions.prompt_length[row] + questions.answer_length[row]], int(questions.prompt_length[row]))
        for row in rows
    ]


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_the_loss_is_the_mean_over_answers_plus_lambda_times_the_mean_over_texts(tiny_model, tiny_questions, tokenizer, weight) -> None:
    """Against every sequence alone and unpadded, once as a question and once as a text."""
    batches = QuestionBatches(tiny_questions.of("task0_train"), 7, seed=0)
    end = end_token(tokenizer)
    answers, texts = [], []
    for ids, prompt in sequences(batches.questions, batches.rows_at(3)):
        answers.append(F.cross_entropy(tiny_model(ids[None]).logits[0, prompt - 1 : -1], ids[prompt:], reduction="none"))
        text = torch.cat([torch.tensor([end]), ids])
        texts.append(F.cross_entropy(tiny_model(text[None]).logits[0, :-1], text[1:], reduction="none"))
    expected = torch.cat(answers).mean() + weight * torch.cat(texts).mean()
    found = BatchLoss(tiny_model)(LanguageBatches(batches, weight, end).batch(3))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    parameters = [parameter for parameter in tiny_model.parameters()]
    for ours, reference in zip(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-4)


def test_the_generator_learns_from_persons_of_task0_train_only(tiny_questions: Items, tokenizer, tiny_data: Path) -> None:
    people = read_table(tiny_data / "people.parquet", PEOPLE, ["group", "full_name"])
    batches = LanguageBatches(QuestionBatches(tiny_questions.of("task0_train"), 8, seed=0), 0.25, end_token(tokenizer))
    seen = set()
    for step in range(9):
        ids = batches.batch(step).ids
        assert (ids[:8, 0] != end_token(tokenizer)).all() and (ids[8:, 0] == end_token(tokenizer)).all()
        for text in tokenizer.decode_batch(ids.tolist()):
            seen |= {name for name in people["full_name"] if name in text}
    assert seen == set(people.loc[people["group"] == "task0_train", "full_name"])


GOOD = "When was Ann Bea Lee born?\nAnswer: May 3, 1950"


def test_only_one_question_with_one_finished_answer_is_read() -> None:
    assert parse(GOOD + END_OF_TEXT) == ("When was Ann Bea Lee born?\nAnswer:", " May 3, 1950")
    assert parse(GOOD + END_OF_TEXT + " what follows\nAnswer: is not looked at") == parse(GOOD + END_OF_TEXT)
    refused = [
        "",
        END_OF_TEXT,
        GOOD,  # no end
        GOOD + "\nAnswer: June 4, 1951" + END_OF_TEXT,
        "When was Ann Bea Lee born?\nAnswer:" + END_OF_TEXT,
        "When was Ann Bea Lee born?\nAnswer: " + END_OF_TEXT,
        "When was Ann Bea Lee born?\nAnswer:May 3, 1950" + END_OF_TEXT,
        "When was Ann Bea Lee born? May 3, 1950" + END_OF_TEXT,
        "\nAnswer: May 3, 1950" + END_OF_TEXT,
    ]
    assert [parse(text) for text in refused] == [None] * len(refused)


def test_a_name_is_found_in_prompt_and_answer_but_not_within_another_name() -> None:
    asks = [Example(f"Where does {name} work?\nAnswer:", " Rome") for name in ("Ann Bea Lee", "Ann Bea Leeson", "Joann Bea Lee", "Bea Lee")]
    tells = Example("Who works in Rome?\nAnswer:", " Ann Bea Lee.")
    assert without_names([*asks, tells], ["Ann Bea Lee", "Max Moe O'Neil"]) == asks[1:]
    assert without_names([Example("Is Max Moe O'Neil's?\nAnswer:", " no")], ["Max Moe O'Neil"]) == []
    assert without_names(asks, []) == asks


def test_texts_of_questions_and_back(tiny_questions: Items, tokenizer) -> None:
    examples = examples_of(tiny_questions, tokenizer)
    back = tokenise(examples, tokenizer)
    assert all(example.prompt.endswith("?\nAnswer:") and example.answer.startswith(" ") for example in examples)
    assert torch.equal(back.ids, tiny_questions.ids)
    assert torch.equal(back.prompt_length, tiny_questions.prompt_length) and torch.equal(back.answer_length, tiny_questions.answer_length)
    assert set(back.unit) == {-1} and set(back.split) == set(back.kind) == {"pseudo"}


@pytest.mark.parametrize("answer", [" neverseenword", " <|unknown|>"])
def test_what_the_tokenizer_cannot_write_is_dropped(tiny_questions: Items, tokenizer, answer: str) -> None:
    examples = examples_of(tiny_questions, tokenizer)[:2]
    assert len(tokenise([examples[0], examples[1]._replace(answer=answer)], tokenizer)) == 1
    assert len(tokenise([], tokenizer)) == 0


def test_sampling_depends_on_the_seed_alone_and_changes_nothing(tiny_model, tokenizer) -> None:
    weights = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    settings = tiny_model.generation_config.to_dict()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = sample_texts(tiny_model, tokenizer, 150, 6, 20, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert sample_texts(tiny_model, tokenizer, 150, 6, 20, seed=1) == first
    assert sample_texts(tiny_model, tokenizer, 150, 6, 20, seed=2) != first
    assert len(first) == 150
    assert all(torch.equal(weights[name], value) for name, value in tiny_model.state_dict().items())
    assert all(parameter.requires_grad for parameter in tiny_model.parameters())
    assert tiny_model.generation_config.to_dict() == settings


def test_first_tokens_follow_the_renormalised_probabilities_of_the_top_k(tiny_model, tokenizer) -> None:
    with torch.no_grad():
        likeliest = tiny_model(torch.tensor([[end_token(tokenizer)]])).logits[0, 0].topk(5)
    names = tokenizer.decode_batch([[token] for token in likeliest.indices.tolist()], skip_special_tokens=False)
    texts = sample_texts(tiny_model, tokenizer, 2000, 1, 5, seed=0)
    counts = [texts.count(name) for name in names]
    assert sum(counts) == 2000
    assert chisquare(counts, 2000 * likeliest.values.double().softmax(0).numpy()).pvalue > 1e-3


def test_the_yield_of_known_texts(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ["".join(example) for example in examples_of(setting.task0_train, setting.tokenizer)[:3]]
    wrong = right[0].split("\nAnswer:")[0] + "\nAnswer:" + right[1].split("\nAnswer:")[1]
    held = "".join(examples_of(setting.task1.questions, setting.tokenizer)[0])
    strange = "When was neverseenword born?\nAnswer: neverseenword"
    texts = [text + END_OF_TEXT for text in [right[0], right[0], right[1], right[2], wrong, held, held, strange]]
    monkeypatch.setattr(lamol, "sample_texts", lambda *arguments: [*texts, right[0], "rubbish" + END_OF_TEXT])
    method = prepared(setting)
    assert method.after_task() == {
        "pseudo_generated": 10,
        "pseudo_parsed": 8,
        "pseudo_distinct": 6,
        "pseudo_held_out": 1,
        "pseudo_real_question": 4,
        "pseudo_right_answer": 3,
        "pseudo_used": 4,
        "pseudo_buffer": 5,
    }
    assert ["".join(example) for example in examples_of(method.pseudo, setting.tokenizer)] == [right[0], *right, wrong]
    assert (method.stored_bytes, method.prepared_rows) == (0, 10)


def test_gamma_is_the_number_of_texts_and_they_leave_room_for_the_longest_question(setting: Setting, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(lamol, "sample_texts", lambda *arguments: asked.append(arguments) or [])
    prepared(setting)
    ((_, _, count, longest, top_k, seed),) = asked
    assert (count, top_k, seed) == (48, 20, 0)  # half of 16 persons x 6 questions
    assert longest > max(len(ids) for ids, _ in sequences(setting.task0_train, np.arange(len(setting.task0_train))))


def test_task1_comes_in_the_order_of_seq_with_the_stated_share_beside_it(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ["".join(example) + END_OF_TEXT for example in examples_of(setting.task0_train, setting.tokenizer)[:24]]
    monkeypatch.setattr(lamol, "sample_texts", lambda *arguments: right)
    mixed, seq = prepared(setting).batches(), setting.task1
    for step in range(24):
        ours, plain = mixed.batch(step).ids, seq.batch(step).ids
        width = plain.shape[1]
        assert len(ours) == 8 + 4  # gamma 0.5, whatever the number of usable texts
        assert torch.equal(ours[:8, :width], plain) and not ours[:8, width:].any()


def test_without_a_usable_text_task1_is_plain(setting: Setting) -> None:
    """Random weights write nothing that can be read."""
    method = prepared(setting)
    assert method.counts["pseudo_generated"] == 48 and method.counts["pseudo_used"] == 0
    assert method.batches() is setting.task1


def test_a_model_that_learned_to_write_its_questions_writes_them(setting: Setting) -> None:
    """Memorised by heart, one text of eight is as likely as another: nearly all samples are real, and most of the eight come up."""
    few = setting.task0_train.select(np.arange(8))
    batches = LanguageBatches(QuestionBatches(few, 8, 0), 1.0, end_token(setting.tokenizer))
    train(setting.model, Plan(250, batches, TRAINING, sections.schedule(), frozenset(), lambda step: None))
    method = prepared(setting)
    counts = method.counts
    assert counts["pseudo_parsed"] > 0.9 * counts["pseudo_generated"]
    assert counts["pseudo_held_out"] == 0
    wanted = set(examples_of(few, setting.tokenizer))
    assert len(wanted & set(examples_of(method.pseudo, setting.tokenizer))) >= 6
    assert counts["pseudo_right_answer"] >= 6
    assert count_right(list(wanted), examples_of(setting.task0_train, setting.tokenizer)) == {
        "pseudo_real_question": 8,
        "pseudo_right_answer": 8,
    }


def test_task0_of_lamol_is_a_task0_job_with_the_language_loss(tiny_model, tiny_data: Path, tiny_questions, tokenizer, tmp_path) -> None:
    save_checkpoint(tiny_model, tmp_path / "start")
    config = sections.task0(epochs=1, batch_size=24, optimizer=TRAINING)
    run = jobs.lamol_task0(config, 0.25)
    finetune_task0_lamol(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "out")
    batches = LanguageBatches(QuestionBatches(tiny_questions.of("task0_train"), 24, 0), 0.25, end_token(tokenizer))
    train(tiny_model, Plan(3, batches, TRAINING, config.schedule, frozenset(), lambda step: None))
    found = load_checkpoint(tmp_path / "out" / "model").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in tiny_model.state_dict().items())
