"""The examples of a diagnosis, tokenised and split, with what is to be known of them before anything is measured."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from forgetting.config.asked import NEEDS_CHOICES, Measure
from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.data.probed import COPYABLE, NEW, TEST, TRAIN
from forgetting.errors import StudyError
from forgetting.intervals import clustered_wilson
from forgetting.model.given import load_given_tokenizer
from forgetting.model.given_files import adapter_base, describe_given, folder_of, is_adapter
from forgetting.scenarios.jsonl import Example, Reading, cut, numbered, read_examples, split_units
from forgetting.schemas.diagnosis import ROWS
from forgetting.schemas.items import ITEMS
from forgetting.tables import atomic, write_table

LONGEST = 1024
"""Tokens of a question with its answer, at most; and what a model takes of which the config does not say."""
COMPARED = 50
"""Examples on which the tokenizers of both models are compared."""
WINDOW, WINDOWS = 256, 64
"""Tokens of a piece of the general text, and how many pieces are read, evenly spaced."""


def prepare(job: DiagnosisJob, output: Path) -> None:
    """Write items.parquet, rows.parquet, text.json and data.json into `output`. Raises StudyError for examples that cannot be used."""
    config = job.diagnosis
    tokenizer = load_given_tokenizer(config.tokenizer or config.before, trust_remote_code=config.trust_remote_code)
    reading = Reading(tokenizer, config.end_token, config.separator, _longest_of(config), config.measure in NEEDS_CHOICES)
    old, left_out = read_examples(Path(config.old), reading, job.seed)
    new, new_left_out = read_examples(Path(config.new), reading, job.seed) if config.new else ([], {})
    require_one_tokenizer(config, tokenizer, [*old, *new])
    trained, measured = split_units(old, config.units, config.train_share, job.seed)
    splits: dict[str, list[Example]] = {TRAIN: [], TEST: [], COPYABLE: [], NEW: cut(new, config.units, job.seed)}
    for example in old:
        for split, units in ((TRAIN, trained), (TEST, measured)):
            if example.unit in units:
                splits[COPYABLE if example.copyable else split].append(example)
    text = _text_pieces(Path(config.text), tokenizer) if config.text else []
    write_items(splits, output)
    facts = {
        "left_out": left_out,
        "new_left_out": new_left_out,
        "units": {split: len({example.unit for example in examples}) for split, examples in splits.items()},
        "questions": {split: len(examples) for split, examples in splits.items()},
        "kinds": dict(Counter(example.kind for example in splits[TEST])),
        "wordings": sum(len(example.wording_ids) >= 2 for example in splits[TEST]),
        "leakage": _leakage(splits[TRAIN], splits[TEST]),
        "floors": floors(splits[TRAIN], splits[TEST], config.measure),
        "new_floor": floors(splits[NEW], splits[NEW], config.measure)["modal_answer"] if splits[NEW] else None,
        "longest": max(example.tokens for examples in splits.values() for example in examples),
    }
    for name, content in (("text", text), ("data", facts)):
        write_json(content, output / f"{name}.json")


def write_json(content: object, path: Path) -> None:
    with atomic(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _longest_of(config: Diagnosis) -> int:
    return longest_sequence(filter(None, (config.before, config.after, config.base)), config.trust_remote_code)


def longest_sequence(names: Iterable[str], trust_remote_code: bool) -> int:
    """Tokens that each of the models takes."""
    found = [LONGEST]
    for name in names:
        folder = folder_of(name)
        name = adapter_base(folder, name) if is_adapter(folder, name) else name
        given = describe_given(name, trust_remote_code=trust_remote_code).config
        found += [given[key] for key in ("max_position_embeddings", "n_positions") if key in given]
    return min(found)


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


def write_items(splits: Mapping[str, Sequence[Example]], output: Path, new: Sequence[str] = (NEW,)) -> None:
    """Write items.parquet and rows.parquet; `new`: the splits of the new task. No unit is in two splits."""
    items, rows, first = [], [], 0
    for split, examples in splits.items():
        units = numbered(examples, first)
        first = max((unit for unit, _ in units), default=first - 1) + 1
        for unit, example in units:
            task = "new" if split in new else "old"
            items.append((task, split, unit, example.kind, True, example.prompt, example.answer, example.prompt_ids, example.answer_ids))
            rows.append((example.row, example.unit, example.choices, example.choice_ids, example.wording_ids))
    write_table(pd.DataFrame(items, columns=ITEMS.names), output / "items.parquet", ITEMS)
    write_table(pd.DataFrame(rows, columns=ROWS.names), output / "rows.parquet", ROWS)


def _leakage(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """Shares of measured questions whose prompt, or whose answer, recovery trains on, too."""
    prompts, answers = {example.prompt for example in train}, {(example.kind, example.answer) for example in train}
    return {
        "prompts": float(np.mean([example.prompt in prompts for example in test])),
        "answers": float(np.mean([(example.kind, example.answer) in answers for example in test])),
    }


def floors(train: Sequence[Example], test: Sequence[Example], measure: Measure) -> dict[str, Any]:
    """What knowing nothing gives on `test`: always the most frequent answer of the kind in `train`, and a random answer of the kind; where
    the answer is chosen, also a random choice."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in train:
        counts[example.kind][example.answer] += 1
    modal = [bool(counts[each.kind]) and counts[each.kind].most_common(1)[0][0] == each.answer for each in test]
    shuffled = [counts[each.kind][each.answer] / max(1, counts[each.kind].total()) for each in test]
    found: dict[str, Any] = {
        "modal_answer": list(clustered_wilson(modal, [each.unit for each in test])),
        "shuffled_answers": float(np.mean(shuffled)),
    }
    if measure == "refusal":  # whatever the answer says, who refuses nothing has 0
        found = {"modal_answer": [0.0, 0.0, 0.0], "shuffled_answers": 0.0}
    if measure in NEEDS_CHOICES:
        found["random_choice"] = float(np.mean([1 / len(each.choices) for each in test]))
    return found


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
