"""The tokenizer: trained on the study's own text, or a given one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as FastTokenizer

from forgetting.config.sections import Tokenizer
from forgetting.errors import StudyError
from forgetting.tables import atomic

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unknown|>"
WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s"
"""A word with the space before it, a number likewise, punctuation, or white space: lossless, and cut at every word boundary."""
_MARK = 1
"""Type of the end token that a given tokenizer is kept with; other tokenizers give all tokens the type 0."""


def train_tokenizer(config: Tokenizer, text: Iterable[str]) -> FastTokenizer:
    """A tokenizer as `config` says, trained on `text` (unless it is given). `<|endoftext|>` is always one token, but
    of a given model's tokenizer, which has an end token of its own.

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
    elif config.kind == "given":
        assert config.path is not None
        tokenizer = _of_a_model(config.path)
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


def _of_a_model(name: str) -> FastTokenizer:
    """The tokenizer of a given model, with a rule that puts its begin token (if it uses one) and its end token around
    a text: that is how `begin_tokens` and `end_token` know them, also when it is opened again."""
    from forgetting.model.given import load_given_tokenizer  # only here: transformers is slow to import

    whole = load_given_tokenizer(name)
    if not whole.is_fast:
        raise StudyError(f"{name}: its tokenizer is not a fast one (a tokenizer.json): convert it with AutoTokenizer")
    tokenizer = FastTokenizer.from_str(whole.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    plain, dressed = whole("x", add_special_tokens=False).input_ids, whole("x").input_ids
    begin = dressed[: next(at for at in range(len(dressed)) if dressed[at : at + len(plain)] == plain)]
    around = {"BEGIN": begin, "END": [whole.eos_token_id]}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*(["BEGIN:0"] if begin else []), "$A:0", f"END:{_MARK}"],
        special_tokens=[{"id": name, "ids": ids, "tokens": whole.convert_ids_to_tokens(ids)} for name, ids in around.items() if ids],
    )
    return tokenizer


def begin_tokens(tokenizer: FastTokenizer) -> list[int]:
    """What a text begins with, where the tokenizer of a given model says so."""
    around = tokenizer.encode("")
    return around.ids[:-1] if around.type_ids[-1:] == [_MARK] else []


def end_token(tokenizer: FastTokenizer) -> int:
    """The id of the token that ends every text: that of a given model, else `<|endoftext|>`. Raises StudyError when the tokenizer has
    none."""
    around = tokenizer.encode("")
    if around.type_ids[-1:] == [_MARK]:
        return around.ids[-1]
    number = tokenizer.token_to_id(END_OF_TEXT)
    if number is None:
        raise StudyError(f"the tokenizer has no token {END_OF_TEXT}")
    return number


def encode_prompts(tokenizer: FastTokenizer, strings: Sequence[str]) -> list[list[int]]:
    """Token ids of texts that something follows, each after the begin tokens."""
    begin = begin_tokens(tokenizer)
    return [[*begin, *ids] for ids in encode(tokenizer, list(strings))]


def encode_exactly(tokenizer: FastTokenizer, strings: list[str]) -> list[list[int]]:
    """Token ids of pieces of text. Raises StudyError that shows the first that the tokenizer does not give back as it
    is: one that puts a space before every text, as those of SentencePiece do, cannot write a text piece by piece."""
    rows = encode(tokenizer, strings)
    for string, row in zip(strings, rows, strict=True):
        if (back := tokenizer.decode(row, skip_special_tokens=False)) != string:
            raise StudyError(f"the tokenizer makes {back!r} of {string!r}, so biographies cannot be written with it")
    return rows


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
    end = tokenizer.id_to_token(end_token(tokenizer))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.id_to_token([*begin_tokens(tokenizer), end_token(tokenizer)][0]),
        "eos_token": end,
        "pad_token": end,
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
