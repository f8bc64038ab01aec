"""Examples of the user's own, tokenised, as files; and what knowing nothing gives on them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forgetting.config.asked import NEEDS_CHOICES, Asked, Measure
from forgetting.intervals import clustered_wilson
from forgetting.model.given import load_given_tokenizer
from forgetting.model.given_files import adapter_base, describe_given, folder_of, is_adapter
from forgetting.scenarios.jsonl import Example, Reading, numbered
from forgetting.schemas.diagnosis import ROWS
from forgetting.schemas.items import ITEMS
from forgetting.tables import atomic, write_table

LONGEST = 1024
"""Tokens of a question with its answer, at most; and what a model takes of which the config does not say."""


def reading_of(section: Asked, models: Iterable[str]) -> Reading:
    """How examples are read that each of these models is to take."""
    tokenizer = load_given_tokenizer(section.tokenizer or section.before, trust_remote_code=section.trust_remote_code)
    longest = longest_sequence(models, section.trust_remote_code)
    return Reading(tokenizer, section.end_token, section.separator, longest, section.measure in NEEDS_CHOICES)


def longest_sequence(names: Iterable[str], trust_remote_code: bool) -> int:
    """Tokens that each of the models takes."""
    found = [LONGEST]
    for name in names:
        folder = folder_of(name)
        name = adapter_base(folder, name) if is_adapter(folder, name) else name
        given = describe_given(name, trust_remote_code=trust_remote_code).config
        found += [given[key] for key in ("max_position_embeddings", "n_positions") if key in given]
    return min(found)


def write_items(splits: Mapping[str, Sequence[Example]], output: Path, new: Sequence[str]) -> None:
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


def counted(splits: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, int]]:
    """How many units and questions are in each split."""
    return {
        "units": {split: len({example.unit for example in examples}) for split, examples in splits.items()},
        "questions": {split: len(examples) for split, examples in splits.items()},
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


def write_json(content: object, path: Path) -> None:
    with atomic(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
