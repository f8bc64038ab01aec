"""Examples of a task that a user gives: read from a file, tokenised by the model's own tokenizer, and split by unit.

A file is JSONL, JSON, CSV, Parquet or a folder of `datasets`, which reads them all. Its columns are `prompt` and `answer`, or `messages` of
a chat whose last one is the assistant's; `unit`, `kind`, `wordings` (other prompts with the same answer) and `choices` (answers to
choose from) may be there, too. What cannot be used is left out and counted, or an error that names the file and the row.
"""

from __future__ import annotations

import csv
import glob
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from forgetting.config.asked import units_to_train
from forgetting.errors import StudyError

READERS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
MOST_ROWS = 50_000
"""Of a longer file so many rows are drawn at random."""
NO_KIND = "answer"
_SPLIT_STREAM, _ROW_STREAM = 31, 32


class ExamplesError(StudyError):
    """Examples that cannot be used; the message names the file."""


@dataclass(frozen=True)
class Example:
    """One question. row: its place in the file, from 1. prompt, answer: texts; prompt_ids, answer_ids: their tokens, the answer with
    its end. wording_ids: other prompts; choices, choice_ids: the answers to choose from, the right one among them."""

    row: int
    unit: str
    kind: str
    prompt: str
    answer: str
    prompt_ids: list[int]
    answer_ids: list[int]
    wording_ids: list[list[int]] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    choice_ids: list[list[int]] = field(default_factory=list)

    @property
    def copyable(self) -> bool:
        """Whether the answer stands in the prompt."""
        return self.answer.strip().casefold() in self.prompt.casefold()

    @property
    def tokens(self) -> int:
        """Of the longest sequence that it is asked in."""
        prompts, answers = [self.prompt_ids, *self.wording_ids], [self.answer_ids, *self.choice_ids]
        return max(map(len, prompts)) + max(map(len, answers))


@dataclass(frozen=True)
class Reading:
    """How texts become tokens. end_token: whether an answer ends with it; separator: between prompt and answer; longest: tokens that the
    model takes; choices: whether every row must have them."""

    tokenizer: PreTrainedTokenizerBase
    end_token: bool
    separator: str
    longest: int
    choices: bool = False


def read_examples(path: Path, reading: Reading, seed: int) -> tuple[list[Example], dict[str, int]]:
    """The usable examples of a file, and how many rows were left out, by the reason. Raises ExamplesError."""
    found, left_out = [], Counter[str]()
    for number, row in rows_of(path, seed):
        try:
            example = _example(row, number, reading)
        except ExamplesError as error:
            raise ExamplesError(f"{path}, row {number}: {error}") from None
        if example is None:
            left_out["without a prompt or an answer"] += 1
        elif example.tokens > reading.longest:
            left_out[f"longer than the {reading.longest} tokens that the model takes"] += 1
        else:
            found.append(example)
    kept = _without_conflicts(found, left_out)
    if not kept:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "it has no rows"
        raise ExamplesError(f"{path}: no row can be used ({reasons})")
    return kept, dict(left_out)


def rows_of(path: Path, seed: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a file with their numbers from 1; of a long one MOST_ROWS drawn at random, in its order."""
    try:
        import datasets
    except ImportError:
        raise ExamplesError("reading examples needs the package datasets: .venv/bin/pip install -e '.[diagnose]'") from None
    datasets.disable_progress_bars()
    if not path.exists():
        raise ExamplesError(f"{path}: no such file or folder")
    if path.is_file() and not path.stat().st_size:
        raise ExamplesError(f"{path}: the file is empty")
    with TemporaryDirectory(prefix="diagnose-") as cache:
        data = _dataset(path, cache)
        columns = set(data.column_names)
        if not ({"prompt", "answer"} <= columns or "messages" in columns):
            there = ", ".join(sorted(columns)) or "no columns"
            missing = " and ".join(sorted({"prompt", "answer"} - columns))
            raise ExamplesError(f"{path}: has no column {missing} (nor messages); it has {there}")
        chosen = np.arange(len(data))
        if len(data) > MOST_ROWS:
            chosen = np.sort(np.random.default_rng([seed, _ROW_STREAM]).choice(len(data), MOST_ROWS, replace=False))
        for number, row in zip(chosen + 1, data.select(chosen), strict=True):
            yield int(number), row


def _dataset(path: Path, cache: str) -> Any:
    import datasets

    if path.is_dir():
        try:
            data = datasets.load_from_disk(str(path))
        except Exception as error:  # many kinds, by what is wrong
            raise ExamplesError(f"{path}: is no folder of datasets ({_line(error)}); give a file, or what save_to_disk wrote") from None
        if isinstance(data, datasets.DatasetDict):
            raise ExamplesError(f"{path}: holds the splits {', '.join(data)}; give the folder of one, such as {path / next(iter(data))}")
        return data
    kind = READERS.get(path.suffix.lower())
    if kind is None:
        raise ExamplesError(f"{path}: files must end in {', '.join(READERS)}")
    options: dict[str, Any] = {"encoding": "utf-8-sig"} if kind != "parquet" else {}
    if kind == "csv":  # everything is text: neither is 007 a number, nor NA missing
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        texts = datasets.Features({column: datasets.Value("string") for column in _header(path, separator)})
        options |= {"features": texts, "keep_default_na": False, "sep": separator}
    try:
        file = glob.escape(str(path.absolute()))
        return datasets.load_dataset(kind, data_files={"rows": [file]}, split="rows", cache_dir=cache, **options)
    except ValueError as error:
        if "corresponds to no data" in str(error):
            raise ExamplesError(f"{path}: has no rows") from None
        raise ExamplesError(f"{path}: cannot be read as {kind.upper()}{_where(path, error)}") from None
    except Exception as error:  # many kinds, by what is wrong
        raise ExamplesError(f"{path}: cannot be read as {kind.upper()}{_where(path, error)}") from None


def _header(path: Path, separator: str) -> list[str]:
    """The columns of a CSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=separator), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExamplesError(f"{path}: cannot be read as CSV in UTF-8 ({_line(error)})") from None


def _where(path: Path, error: BaseException) -> str:
    """The first line of a JSONL file that is none, else what the library says."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        try:
            with path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip() and not isinstance(json.loads(line), dict):
                        return f": line {number} is no object in braces"
        except UnicodeDecodeError as wrong:
            return f": it is not in UTF-8 ({wrong.reason} at byte {wrong.start} of a line)"
        except ValueError as wrong:
            return f": line {number} is not JSON ({wrong})"
    cause = error.__cause__ or error
    return f" ({_line(cause)})"


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _example(row: Mapping[str, Any], number: int, reading: Reading) -> Example | None:
    """One row with its tokens; None where prompt or answer is missing."""
    if row.get("messages"):
        texts = _chat(row["messages"], reading)
    elif row.get("prompt") is None or row.get("answer") is None:
        return None
    else:
        texts = str(row["prompt"]) + reading.separator, str(row["answer"]), *_plain(row, reading)
    prompt, answer, prompt_ids, answer_ids = texts
    if not prompt.strip() or not answer.strip():
        return None
    if not prompt_ids or not answer_ids:
        raise ExamplesError(f"the tokenizer makes no token of {(prompt if not prompt_ids else answer)[:40]!r}")
    choices = _texts(row.get("choices"), "choices")
    if reading.choices and (len(choices) < 2 or choices.count(answer) != 1):
        raise ExamplesError(f"choices must be two or more texts, and the answer {answer[:40]!r} one of them: got {choices}")
    wordings = [wording + reading.separator for wording in _texts(row.get("wordings"), "wordings")]
    return Example(
        row=number,
        unit=str(row["unit"]) if row.get("unit") not in (None, "") else " ".join(prompt.casefold().split()),
        kind=str(row["kind"]) if row.get("kind") not in (None, "") else NO_KIND,
        prompt=prompt,
        answer=answer,
        prompt_ids=prompt_ids,
        answer_ids=answer_ids,
        wording_ids=[_prompt_ids(wording, reading) for wording in wordings],
        choices=choices,
        choice_ids=[_answer_ids(choice, reading) for choice in choices],
    )


def _texts(value: Any, column: str) -> list[str]:
    """A list of texts; in a CSV file it is written as JSON."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            value = None
        if not isinstance(value, list):
            raise ExamplesError(f'{column} must be a list of texts, in a CSV file as ["one", "another"]')
    if value is not None and value != "" and not isinstance(value, list):
        raise ExamplesError(f"{column} must be a list of texts: got {value!r}")
    return [str(text) for text in value or ()]


def _plain(row: Mapping[str, Any], reading: Reading) -> tuple[list[int], list[int]]:
    """Tokens of prompt and answer, each on its own."""
    return _prompt_ids(str(row["prompt"]) + reading.separator, reading), _answer_ids(str(row["answer"]), reading)


def _prompt_ids(text: str, reading: Reading) -> list[int]:
    """With a beginning token where the tokenizer sets one, never with an end."""
    ids = list(reading.tokenizer(text, add_special_tokens=True)["input_ids"])
    while ids and ids[-1] == reading.tokenizer.eos_token_id and not text.endswith(str(reading.tokenizer.eos_token)):
        ids.pop()
    return ids


def _answer_ids(text: str, reading: Reading) -> list[int]:
    ids = list(reading.tokenizer(text, add_special_tokens=False)["input_ids"])
    if not reading.end_token or not ids:
        return ids
    if reading.tokenizer.eos_token_id is None:
        raise ExamplesError("the tokenizer has no end token: say diagnose.end_token: false")
    return [*ids, reading.tokenizer.eos_token_id]


def _chat(messages: Any, reading: Reading) -> tuple[str, str, list[int], list[int]]:
    """Texts and tokens of a chat by the template of the tokenizer: all that stands before the last turn, and that turn, which is the
    assistant's, with its end."""
    tokenizer = reading.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise ExamplesError("the tokenizer has no chat template, which messages need: give prompt and answer, or another tokenizer")
    if isinstance(messages, str):
        messages = json.loads(messages)
    good = isinstance(messages, list) and all(isinstance(each, dict) and {"role", "content"} <= set(each) for each in messages)
    if not good or len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise ExamplesError("messages must be a list of role and content, the last one the assistant's")
    before = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    if not whole.startswith(before):
        raise ExamplesError("by the chat template of the tokenizer, the last turn does not follow what comes before it")
    said = whole[len(before) :].rstrip("\n")
    ids = [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (before, said)]
    return before, str(messages[-1]["content"]), *ids


def _without_conflicts(examples: Iterable[Example], left_out: Counter[str]) -> list[Example]:
    """Each question once, and none that has several answers, of which no model can give more than one."""
    answers: dict[tuple[int, ...], dict[str, Example]] = defaultdict(dict)
    count = 0
    for example in examples:
        answers[tuple(example.prompt_ids)].setdefault(example.answer, example)
        count += 1
    kept = [example for found in answers.values() if len(found) == 1 for example in found.values()]
    conflicting = sum(len(found) for found in answers.values() if len(found) > 1)
    for reason, number in (("repeated", count - len(kept) - conflicting), ("of a prompt that has several answers", conflicting)):
        if number:
            left_out[reason] += number
    return kept


def split_units(examples: Sequence[Example], most: int, train_share: float, seed: int) -> tuple[set[str], set[str]]:
    """Units to train on, and to measure: at most `most` drawn at random, never a unit in both. Raises ExamplesError for fewer than four."""
    units = list(dict.fromkeys(example.unit for example in examples if not example.copyable))
    if len(units) < 4:
        raise ExamplesError(
            f"only {len(units)} units of old examples can be used (of which the answer does not stand in the prompt): "
            "four at least, and for an answer that means something about a hundred"
        )
    drawn = [units[place] for place in np.random.default_rng([seed, _SPLIT_STREAM]).permutation(len(units))[:most]]
    trained = units_to_train(len(drawn), train_share)
    return set(drawn[:trained]), set(drawn[trained:])


def numbered(examples: Sequence[Example], first: int) -> list[tuple[int, Example]]:
    """Each example with the number of its unit, counted from `first` in the order of the examples."""
    numbers: dict[str, int] = {}
    return [(numbers.setdefault(example.unit, first + len(numbers)), example) for example in examples]


def cut(examples: Sequence[Example], most: int, seed: int) -> list[Example]:
    """The examples of at most `most` units, drawn at random, in their order."""
    units = list(dict.fromkeys(example.unit for example in examples))
    drawn = {units[place] for place in np.random.default_rng([seed, _SPLIT_STREAM]).permutation(len(units))[:most]}
    return [example for example in examples if example.unit in drawn]
