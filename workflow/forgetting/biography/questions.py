"""One fixed question for each attribute."""

from __future__ import annotations

from pathlib import Path

import yaml

from forgetting.biography.people import ResourceError, resource_text
from forgetting.sections import ATTRIBUTES


def read_questions(path: Path) -> dict[str, str]:
    """`{attribute: "...{name}...?"}` from a YAML file. Raises ResourceError that names the file and the attribute."""
    try:
        questions = yaml.safe_load(resource_text(path))
    except yaml.YAMLError as error:
        raise ResourceError(f"{path}: not YAML ({error})") from None
    if not isinstance(questions, dict) or set(questions) != set(ATTRIBUTES):
        raise ResourceError(f"{path}: needs exactly the keys {', '.join(ATTRIBUTES)}")
    for attribute, question in questions.items():
        if not isinstance(question, str) or question.count("{name}") != 1 or not question.endswith("?"):
            raise ResourceError(f"{path}, {attribute}: needs one {{name}} and a question mark at its end")
    return questions
