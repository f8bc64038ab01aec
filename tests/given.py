"""Folders of tiny random models with a tokenizer beside them, as somebody else would save them."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer
from tokenizers.processors import TemplateProcessing

from forgetting.scenarios.biography.tokenizer import train_tokenizer
from tests import sections
from tests.families import family_model

BEGIN, END = "<s>", "</s>"
RESOURCES = Path(__file__).parent.parent / "resources"
ENTRIES = 1500


def given_tokenizer(folder: Path, *, begins: bool = True) -> FastTokenizer:
    """A byte-level BPE that cuts some words, with an end token (and a begin token that it puts before every text) of
    its own, written to `folder` as transformers does."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(RESOURCES.rglob("*.txt")))
    tokenizer = train_tokenizer(sections.tokenizer(kind="bpe", vocabulary_size=ENTRIES), texts)
    tokenizer.add_special_tokens([BEGIN, END])
    if begins:
        begin = (BEGIN, tokenizer.token_to_id(BEGIN))
        tokenizer.post_processor = TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[begin])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return tokenizer


def given_model(folder: Path, family: str = "llama", *, begins: bool = True) -> Path:
    """A model of the family with more rows than its tokenizer has tokens."""
    tokenizer = given_tokenizer(folder, begins=begins)
    family_model(family, tokenizer.get_vocab_size() + 5).save_pretrained(folder)
    return folder
