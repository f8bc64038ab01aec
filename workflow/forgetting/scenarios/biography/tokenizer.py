"""The tokenizer: trained on the study's own text, or a given one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as FastTokenizer

from forgetting.config.sections import Tokenizer
from forgetting.errors import StudyError
from forgetting.tables import atomic

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unknown|>"
WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s"
"""A word with the space before it, a number likewise, punctuation, or white space: lossless, and cut at every word boundary."""


def train_tokenizer(config: Tokenizer, text: Iterable[str]) -> FastTokenizer:
    """A tokenizer as `config` says, trained on `text` (unless it is given by path). `<|endoftext|>` is always one token.

    Both trained kinds cut at word boundaries, so that the tokens of a text are the tokens of its words one after the other.
    """
    if config.kind == "path":
        assert config.path is not None
        local = Path(config.path) / "tokenizer.json"
        try:
            tokenizer = FastTokenizer.from_file(str(local)) if local.exists() else FastTokenizer.from_pretrained(config.path)
        except Exception as error:  # the library raises bare Exception
            raise StudyError(
                f"tokenizer.path {config.path!r}: no folder with a tokenizer.json, and the hub did not give one of this name. "
                f"Without a network, copy tokenizer.json into a folder and name that ({str(error).splitlines()[0][:150]})"
            ) from None
    elif config.kind == "word":
        tokenizer = FastTokenizer(models.WordLevel(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
        tokenizer.decoder = decoders.Fuse()
        word_trainer = trainers.WordLevelTrainer(
            vocab_size=config.vocabulary_size, special_tokens=[END_OF_TEXT, UNKNOWN], show_progress=False
        )
        tokenizer.train_from_iterator(text, word_trainer)
    else:
        tokenizer = FastTokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        bpe_trainer = trainers.BpeTrainer(
            vocab_size=config.vocabulary_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(text, bpe_trainer)
    end_token(tokenizer)
    return tokenizer


def end_token(tokenizer: FastTokenizer) -> int:
    """The id of `<|endoftext|>`. Raises StudyError when the tokenizer has none."""
    number = tokenizer.token_to_id(END_OF_TEXT)
    if number is None:
        raise StudyError(f"the tokenizer has no token {END_OF_TEXT}")
    return number


def encode(tokenizer: FastTokenizer, strings: list[str]) -> list[list[int]]:
    """Token ids of each string. Raises StudyError that shows the first string with an unknown word."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(strings, add_special_tokens=False)]
    unknown = tokenizer.token_to_id(UNKNOWN)
    if unknown is not None:
        for string, row in zip(strings, rows, strict=True):
            if unknown in row:
                raise StudyError(f"the tokenizer's vocabulary is too small for {string!r}: raise tokenizer.vocabulary_size")
    return rows


def save_tokenizer(tokenizer: FastTokenizer, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, which transformers' AutoTokenizer opens."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
    }
    if tokenizer.token_to_id(UNKNOWN) is not None:
        config["unk_token"] = UNKNOWN
    for name, text in (("tokenizer.json", tokenizer.to_str(pretty=True)), ("tokenizer_config.json", json.dumps(config, indent=2) + "\n")):
        with atomic(folder / name) as part:
            part.write_text(text, encoding="utf-8")


def load_tokenizer(folder: Path) -> FastTokenizer:
    """Open a saved tokenizer. Raises StudyError that names a missing or broken file."""
    path = folder / "tokenizer.json"
    try:
        return FastTokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise StudyError(f"{path}: cannot be read as a tokenizer ({error})") from None
