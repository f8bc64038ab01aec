"""Data made with the tokenizer of a given model: its own begin and end tokens, and a boundary between prompt and answer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES, TINY_GROUPS
from tests.given import BEGIN, END, given_model, given_tokenizer
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.model.checkpoints import load_weights
from forgetting.model.given import load_given
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.recall import in_sentences
from forgetting.scenarios.biography.texts import Biographies
from forgetting.scenarios.biography.tokenizer import begin_tokens, end_token, load_tokenizer
from forgetting.schemas.metrics import METRICS
from forgetting.stages.pretraining import pretrain
from forgetting.tables import read_table


def made_with(tokenizer: Path, output: Path) -> Path:
    job = jobs.data(data=sections.data(groups=TINY_GROUPS), tokenizer=sections.tokenizer(kind="given", path=str(tokenizer)))
    build_data(job, RESOURCES, output)
    return output


@pytest.mark.parametrize("begins", [True, False])
def test_every_row_is_prompt_and_answer_tokenised_apart_and_the_end_token(begins: bool, tmp_path: Path) -> None:
    folder = given_model(tmp_path / "model", begins=begins)
    data = made_with(folder, tmp_path / "data")
    tokenizer = AutoTokenizer.from_pretrained(folder)  # the one that came with the model, and not what was made of it
    first = [tokenizer.bos_token_id] if begins else []
    items = pd.read_parquet(data / "items.parquet")
    for row in items.itertuples():
        assert list(row.prompt_ids) == tokenizer(row.prompt).input_ids
        assert list(row.prompt_ids[: len(first)]) == first
        assert list(row.answer_ids) == [*tokenizer(row.answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    kept = load_tokenizer(data / "tokenizer")
    assert (begin_tokens(kept), end_token(kept)) == (first, tokenizer.eos_token_id)
    again = AutoTokenizer.from_pretrained(data / "tokenizer")
    assert (again.bos_token, again.eos_token, again.pad_token) == (BEGIN if begins else END, END, END)
    texts = Biographies.load(data / "biographies.arrow")
    one = texts.rows[3].tolist()
    assert one[: len(first)] == first and one[-1] == tokenizer.eos_token_id
    text = tokenizer.decode(one[len(first) : -1])
    assert one[len(first) : -1] == tokenizer(text, add_special_tokens=False).input_ids
    person = pd.read_parquet(data / "people.parquet").iloc[int(texts.person[3])]
    starts = texts.value_starts[3]
    assert tokenizer.decode(one[starts[0] :]).startswith(" " + person["birthday"])
    asked = in_sentences(Items.load(data / "items.parquet").of("task0_test"), data, RESOURCES / "templates", 0)
    assert asked.ids[:, : len(first)].unique().tolist() == first


def test_apart_counts_where_the_joined_text_has_other_tokens(tmp_path: Path) -> None:
    """A BPE that merges over the space between prompt and answer, as one without a rule for words does."""
    given_tokenizer(tmp_path / "joins", begins=False)
    joining = FastTokenizer(models.BPE())
    joining.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    joining.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    joining.train_from_iterator(["\nAnswer: May 3, 1950", "\nAnswer: University"] * 50, trainer)
    joining.save(str(tmp_path / "joins/tokenizer.json"))
    (tmp_path / "joins/tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}))
    (tmp_path / "joins/config.json").write_text("{}")
    data = made_with(tmp_path / "joins", tmp_path / "data")
    items = pd.read_parquet(data / "items.parquet")
    ids = {text: joining.encode(text).ids for row in items.itertuples() for text in (row.prompt, row.answer, row.prompt + row.answer)}
    joined = [ids[row.prompt] + ids[row.answer] != ids[row.prompt + row.answer] for row in items.itertuples()]
    assert any(joined), "else this tests nothing"
    for row in items.itertuples():
        assert [*row.prompt_ids, *row.answer_ids] == [*ids[row.prompt], *ids[row.answer], joining.token_to_id(END)]


def test_a_tokenizer_that_does_not_give_pieces_back_is_refused(tmp_path: Path) -> None:
    given_tokenizer(tmp_path / "spaces", begins=False)
    words = FastTokenizer(models.WordLevel({END: 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    words.save(str(tmp_path / "spaces/tokenizer.json"))
    (tmp_path / "spaces/tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}))
    (tmp_path / "spaces/config.json").write_text("{}")
    with pytest.raises(StudyError, match="so biographies cannot be written with it"):
        made_with(tmp_path / "spaces", tmp_path / "data")


def test_a_given_model_is_trained_on_the_biographies_or_left_as_it_is(tmp_path: Path) -> None:
    folder = given_model(tmp_path / "model")
    data = made_with(folder, tmp_path / "data")
    before = load_given(folder).state_dict()
    training = sections.pretrain(steps=2, batch_size=2, sequence_length=320, optimizer=sections.optimizer(1e-3))
    for continued in (False, True):
        output = tmp_path / f"continued-{continued}"
        model = sections.model(source="given", name=str(folder), continue_pretraining=continued)
        job = jobs.pretrain(data=sections.data(groups=TINY_GROUPS), model=model, pretrain=training)
        pretrain(job, data, RESOURCES, tmp_path / "scratch", output)
        after = load_weights(output / "model")
        assert all((after[name] == before[name]).all() for name in after) != continued
        assert len(list((output / "checkpoints").glob("step-*"))) == (2 if continued else 0)
        found = read_table(output / "metrics.parquet", METRICS)
        assert set(found.loc[found["metric"] == "first_token_hard", "step"]) == ({0, 1, 2} if continued else {0})
