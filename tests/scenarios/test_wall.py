"""Only `scenarios/biography` and its section of the config know that units are persons, and kinds their six attributes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetting.config.biography import ATTRIBUTES
from forgetting.dependencies import LIBRARY

OWN = ("scenarios/biography", "config/biography.py", "schemas/people.py")
WORDS = re.compile(r"(?:^|_)(?:persons?|people|attributes?)(?:_|$)", re.IGNORECASE)
ALLOWED = {
    "control_persons": "a column of the tables for readers, which speak of persons",
    "university": "views/features.py draws the questions of this kind as points",
}
"""Words that other parts of the library may use, each with its reason."""
IMPORTERS = {
    "forgetting.config.biography": {"config/study.py", "config/jobs/data.py", "config/jobs/pretrain.py"},
    "forgetting.schemas.people": set(),
}
"""Who else may import what is the biographies' own: for the section `data` alone."""


def others() -> list[Path]:
    return [path for path in sorted(LIBRARY.rglob("*.py")) if not str(path.relative_to(LIBRARY)).startswith(OWN)]


def words(tree: ast.AST) -> Iterator[str]:
    """Identifiers, and texts that look like one (names of columns)."""
    for node in ast.walk(tree):
        named = (getattr(node, name, None) for name in ("id", "attr", "arg", "name", "asname"))
        yield from (found for found in named if isinstance(found, str))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def test_no_other_part_speaks_of_persons_or_attributes() -> None:
    found = {word: path for path in others() for word in words(ast.parse(path.read_text())) if WORDS.search(word) or word in ATTRIBUTES}
    assert {word: path for word, path in found.items() if word not in ALLOWED} == {}
    assert set(found) == set(ALLOWED), "what is allowed is also there"


@pytest.mark.parametrize("module", IMPORTERS)
def test_no_other_part_imports_what_is_the_biographies_own(module: str) -> None:
    imports = {path for path in others() for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "module", "") == module}
    assert {str(path.relative_to(LIBRARY)) for path in imports} == IMPORTERS[module]
