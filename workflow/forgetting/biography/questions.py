"""One fixed question for each attribute."""

from __future__ import annotations

from pathlib import Path

import yaml

from forgetting.biography.people import ResourceError
from forgetting.sections import ATTRIBUTES


def read_questions(path: Path) -> dict[str, str]:
    """`{attribute: "...{name}...?"}` from a YAML file. Raises ResourceError that names the file and the attribute."""
    try:
        questions = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResourceError(f"{path}: no such file") from None
    if not isinstance(questions, dict) or set(questions) != set(ATTRIBUTES):
        raise ResourceError(f"{path}: needs exactly the keys {', '.join(ATTRIBUTES)}")
    for attribute, question in questions.items():
        if question.count("{name}") != 1 or not question.endswith("?"):
            raise ResourceError(f"{path}, {attribute}: needs one {{name}} and a question mark at its end")
    return questions
