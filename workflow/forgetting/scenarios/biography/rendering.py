"""Biographies as token sequences, put together from pieces that are tokenised once.

A sentence is `opening + name + middle + value + closing`. Every piece begins at a word boundary, so the tokens of the text are the
tokens of
its pieces one after the other, and a million biographies are a gather over a table instead of a million calls of a tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES, TEMPLATES_PER_ATTRIBUTE
from forgetting.data.ragged import Ragged
from forgetting.scenarios.biography.people import ResourceError, resource_text
from forgetting.scenarios.biography.questions import CUE

PRONOUNS = frozenset(["he", "she", "him", "her", "his", "hers", "himself", "herself", "they", "them", "their", "theirs"])
Encode = Callable[[list[str]], list[list[int]]]
PARTS = 4
"""Pieces stored for a template: opening, middle, closing, closing without its full stop."""
EMPTY_PIECE = 0


@dataclass(frozen=True)
class Template:
    """The three constant parts of a sentence around the name and the value; each starts with a space unless empty or punctuation."""

    opening: str
    middle: str
    closing: str

    @classmethod
    def parse(cls, line: str) -> Template:
        """Split `... {name} ... {value} ...`. Raises ValueError when a placeholder is missing, doubled, or the name comes second."""
        found = re.fullmatch(r"([^{}]*)\{name\}([^{}]*)\{value\}([^{}]*)", line)
        if not found:
            raise ValueError("needs one {name} followed by one {value}")
        opening, middle, closing = found.groups()
        if not closing.endswith("."):
            raise ValueError("needs a full stop at its end")
        if pronoun := PRONOUNS & set(re.findall(r"[a-z]+", line.lower())):
            raise ValueError(f"has the pronoun {min(pronoun)!r}")
        return cls((" " + opening).rstrip(), middle.rstrip(), closing)

    def fill(self, name: str, value: str) -> str:
        """The sentence with a leading space; a full stop that ends the value is not doubled."""
        closing = self.closing.removeprefix(".") if value.endswith(".") else self.closing
        return f"{self.opening} {name}{self.middle} {value}{closing}"


def read_templates(folder: Path) -> dict[str, list[Template]]:
    """50 templates for each attribute from `<folder>/<attribute>.txt`. Raises ResourceError naming file and line."""
    templates = {}
    for attribute in ATTRIBUTES:
        path = folder / f"{attribute}.txt"
        lines = resource_text(path).splitlines()
        if len(lines) != TEMPLATES_PER_ATTRIBUTE or len(set(lines)) != len(lines):
            raise ResourceError(f"{path}: needs {TEMPLATES_PER_ATTRIBUTE} different lines, has {len(set(lines))}")
        parsed = []
        for number, line in enumerate(lines, 1):
            try:
                parsed.append(Template.parse(line))
            except ValueError as error:
                raise ResourceError(f"{path}, line {number}: {error}") from None
        templates[attribute] = parsed
    return templates


class Renderer:
    """Renders biographies and questions of the persons of a PEOPLE frame as tokens.

    `encode` turns strings into token ids; `end_token` ends every biography and answer; `cue` stands between a question and its answer;
    `begin` stands before every biography and question, for models that expect it.
    """

    def __init__(
        self,
        people: pd.DataFrame,
        templates: dict[str, list[Template]],
        questions: dict[str, str],
        encode: Encode,
        end_token: int,
        cue: str = CUE,
        begin: Sequence[int] = (),
    ) -> None:
        strings: list[str] = [""]

        def add(new: Iterable[str]) -> int:
            """Append pieces; the number of the first."""
            start = len(strings)
            strings.extend(new)
            return start

        def codes(column: Sequence[str]) -> np.ndarray:
            """(n,) the piece of each string of a column."""
            code, distinct = pd.factorize(np.asarray(column, dtype=object))
            return code + add(" " + value for value in distinct)

        self._names = np.column_stack([codes(part) for part in zip(*(name.split(" ") for name in people["full_name"]), strict=True)])
        self._values = np.column_stack([codes(people[attribute].to_numpy()) for attribute in ATTRIBUTES])
        parts = [(t.opening, t.middle, t.closing, t.closing.removeprefix(".")) for name in ATTRIBUTES for t in templates[name]]
        self._template_start = add(part for template in parts for part in template)
        around = [questions[name].split("{name}") for name in ATTRIBUTES]
        self._question_start = add(part for before, after in around for part in (before.rstrip(), after + cue))
        self._end_piece = len(strings)
        self._begin_pieces = [self._end_piece + 1] if begin else []
        self._pieces = Ragged.from_lists([*encode(strings), [end_token], *([list(begin)] if begin else [])])
        self._value_ends_in_stop = np.array([string.endswith(".") for string in strings])[self._values]

    def biographies(
        self, persons: np.ndarray, templates: np.ndarray, order: np.ndarray, full_name: bool = True
    ) -> tuple[Ragged, np.ndarray]:
        """One biography for each entry of `persons` (m,): `templates` (m, 6) numbers within each attribute, `order` (m, 6) attributes
        by position.

        Returns the tokens, ended by the end token, and (m, 6) the position of the first token of each attribute's value. Without
        `full_name`, sentences after the first name the person by first name only.
        """
        rows = np.arange(len(persons))[:, None]
        parts = self._template_start + PARTS * (order * TEMPLATES_PER_ATTRIBUTE + templates[rows, order])
        closing = parts + 2 + self._value_ends_in_stop[persons[:, None], order]
        names = np.repeat(self._names[persons][:, None, :], len(ATTRIBUTES), axis=1)
        if not full_name:
            names[:, 1:, 1:] = EMPTY_PIECE
        value = self._values[persons[:, None], order]
        sentences = np.concatenate([parts[..., None], names, (parts + 1)[..., None], value[..., None], closing[..., None]], axis=2)
        whole = self._begun(np.column_stack([sentences.reshape(len(persons), -1), np.full(len(persons), self._end_piece)]))
        first = len(self._begin_pieces)
        places = slice(first + 4, first + sentences.shape[1] * sentences.shape[2], sentences.shape[2])
        before_value = np.cumsum(self._pieces.lengths[whole], axis=1)[:, places]
        starts = np.empty_like(before_value)
        np.put_along_axis(starts, order, before_value, axis=1)
        return self._pieces.take(whole), starts

    def _begun(self, pieces: np.ndarray) -> np.ndarray:
        """(m, k) pieces after those that every text begins with."""
        return np.column_stack([np.tile(self._begin_pieces, (len(pieces), 1)).astype(pieces.dtype), pieces])

    def names(self) -> Ragged:
        """The full name of every person, as it stands within a sentence."""
        return self._pieces.take(self._names)

    def prompts(self) -> Ragged:
        """The question of every (person, attribute), person by person: `... {name} ...?\\nAnswer:`."""
        people = len(self._names)
        before = np.broadcast_to(self._question_start + 2 * np.arange(len(ATTRIBUTES)), (people, len(ATTRIBUTES)))
        names = np.repeat(self._names[:, None, :], len(ATTRIBUTES), axis=1)
        return self._pieces.take(self._begun(np.concatenate([before[..., None], names, before[..., None] + 1], axis=2).reshape(-1, 5)))

    def answers(self) -> Ragged:
        """The answer of every (person, attribute) in the order of `prompts`, ending with the end-of-text token."""
        value = self._values.reshape(-1, 1)
        return self._pieces.take(np.column_stack([value, np.full(len(value), self._end_piece)]))


def disjoint_templates(persons: int, biographies: int, generator: np.random.Generator) -> np.ndarray:
    """(persons, biographies, 6) template numbers; the biographies of one person share no template of an attribute."""
    keys = generator.random((persons, len(ATTRIBUTES), TEMPLATES_PER_ATTRIBUTE))
    return np.argsort(keys, axis=2, kind="stable")[:, :, :biographies].transpose(0, 2, 1)


def sentence_orders(count: int, permute: bool, generator: np.random.Generator) -> np.ndarray:
    """(count, 6) orders of the sentences, random or fixed."""
    if not permute:
        return np.broadcast_to(np.arange(len(ATTRIBUTES)), (count, len(ATTRIBUTES)))
    return np.argsort(generator.random((count, len(ATTRIBUTES))), axis=1, kind="stable")
