"""The examples of a diagnosis, tokenised and split, with what is to be known of them before anything is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.data.probed import COPYABLE, NEW, TEST, TRAIN
from forgetting.errors import StudyError
from forgetting.model.given import load_given_tokenizer
from forgetting.scenarios.jsonl import Example, cut, read_examples, split_units
from forgetting.stages.given_data import counted, floors, reading_of, write_items, write_json

COMPARED = 50
"""Examples on which the tokenizers of both models are compared."""
WINDOW, WINDOWS = 256, 64
"""Tokens of a piece of the general text, and how many pieces are read, evenly spaced."""


def prepare(job: DiagnosisJob, output: Path) -> None:
    """Write items.parquet, rows.parquet, text.json and data.json into `output`. Raises StudyError for examples that cannot be used."""
    config = job.diagnosis
    reading = reading_of(config, filter(None, (config.before, config.after, config.base)))
    old, left_out = read_examples(Path(config.old), reading, job.seed)
    new, new_left_out = read_examples(Path(config.new), reading, job.seed) if config.new else ([], {})
    require_one_tokenizer(config, reading.tokenizer, [*old, *new])
    trained, measured = split_units(old, config.units, config.train_share, job.seed)
    splits: dict[str, list[Example]] = {TRAIN: [], TEST: [], COPYABLE: [], NEW: cut(new, config.units, job.seed)}
    for example in old:
        for split, units in ((TRAIN, trained), (TEST, measured)):
            if example.unit in units:
                splits[COPYABLE if example.copyable else split].append(example)
    text = _text_pieces(Path(config.text), reading.tokenizer) if config.text else []
    write_items(splits, output, new=(NEW,))
    facts = {
        "left_out": left_out,
        "new_left_out": new_left_out,
        **counted(splits),
        "kinds": dict(Counter(example.kind for example in splits[TEST])),
        "wordings": sum(len(example.wording_ids) >= 2 for example in splits[TEST]),
        "leakage": _leakage(splits[TRAIN], splits[TEST]),
        "floors": floors(splits[TRAIN], splits[TEST], config.measure),
        "new_floor": floors(splits[NEW], splits[NEW], config.measure)["modal_answer"] if splits[NEW] else None,
        "longest": max(example.tokens for examples in splits.values() for example in examples),
    }
    for name, content in (("text", text), ("data", facts)):
        write_json(content, output / f"{name}.json")


def require_one_tokenizer(config: Diagnosis, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> None:
    """Raises StudyError where `after` or `base` has a tokenizer of its own that reads the examples otherwise."""
    for role, name in (("after", config.after), ("base", config.base)):
        if name is None or config.tokenizer:
            continue
        try:
            other = load_given_tokenizer(name, trust_remote_code=config.trust_remote_code)
        except StudyError:
            continue  # it has none
        for example in examples[:COMPARED]:
            text = example.prompt + example.answer
            if other(text)["input_ids"] != tokenizer(text)["input_ids"]:
                raise StudyError(
                    f"diagnose.{role} {name} has another tokenizer than diagnose.before {config.before} (they differ on {text[:40]!r}): "
                    "two models are compared on the same tokens. If one of them is wrong, name the right one as diagnose.tokenizer"
                )


def _leakage(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """Shares of measured questions whose prompt, or whose answer, recovery trains on, too."""
    prompts, answers = {example.prompt for example in train}, {(example.kind, example.answer) for example in train}
    return {
        "prompts": float(np.mean([example.prompt in prompts for example in test])),
        "answers": float(np.mean([(example.kind, example.answer) in answers for example in test])),
    }


def _text_pieces(path: Path, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Evenly spaced pieces of a text, as tokens."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"diagnose.text {path}: cannot be read as text in UTF-8 ({error})") from None
    ids = list(tokenizer(text[: 20 * WINDOW * WINDOWS], add_special_tokens=False, verbose=False)["input_ids"])
    if len(ids) < 2:
        raise StudyError(f"diagnose.text {path}: has no text")
    pieces = [ids[start : start + WINDOW] for start in range(0, max(1, len(ids) - 1), WINDOW)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    return [pieces[place] for place in np.unique(np.linspace(0, len(pieces) - 1, WINDOWS).round().astype(int))]
