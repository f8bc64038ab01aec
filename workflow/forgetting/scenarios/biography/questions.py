"""One fixed question for each attribute, and the same in other words."""

from __future__ import annotations

from pathlib import Path

import yaml

from forgetting.config.biography import ATTRIBUTES
from forgetting.scenarios.biography.people import ResourceError, resource_text

CUE = "\nAnswer:"
"""What follows a question; the answer follows it."""


def read_questions(path: Path) -> dict[str, str]:
    """`{attribute: "...{name}...?"}` from a YAML file. Raises ResourceError that names the file and the attribute."""
    return _read(path, "?", "a question mark")


def read_other_wordings(path: Path) -> dict[str, str]:
    """`{attribute: "...{name}... ="}`: whole prompts, cue and all, that ask the same as the questions and share no token with them but
    the name. Raises ResourceError that names the file and the attribute."""
    return _read(path, "=", "an equals sign")


def _read(path: Path, end: str, called: str) -> dict[str, str]:
    try:
        texts = yaml.safe_load(resource_text(path))
    except yaml.YAMLError as error:
        raise ResourceError(f"{path}: not YAML ({error})") from None
    if not isinstance(texts, dict) or set(texts) != set(ATTRIBUTES):
        raise ResourceError(f"{path}: needs exactly the keys {', '.join(ATTRIBUTES)}")
    for attribute, text in texts.items():
        if not isinstance(text, str) or text.count("{name}") != 1 or not text.endswith(end):
            raise ResourceError(f"{path}, {attribute}: needs one {{name}} and {called} at its end")
    return texts
