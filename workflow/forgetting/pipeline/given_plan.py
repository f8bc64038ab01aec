"""What a plan needs to know of a model and examples of the user's own: their files and sizes. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from forgetting.config.asked import Asked
from forgetting.errors import StudyError
from forgetting.model.given_files import adapter_base, describe_given, find_given, folder_of, is_adapter, shape_of

_OF_A_MODEL = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_OF_EXAMPLES = ("old", "new", "text")
TOKENS = 60
"""Of a question with its answer; assumption."""


def files_behind(target: str, section: Asked, keys: Iterable[str]) -> list[str]:
    """The files of the user behind these keys of the section `target` (`random`: those of `after`), for a plan: none of a hub name, nor of
    what is not given. Braces in names are escaped, as Snakemake has them. Raises StudyError that names a file that is missing."""
    found: list[Path] = []
    for key in keys:
        name = getattr(section, "after" if key == "random" else key)
        if name is None:
            continue
        path = Path(name)
        if key in _OF_EXAMPLES:
            if not path.exists():
                raise StudyError(f"{target}.{key} {name}: no such file or folder")
            found += [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        elif path.is_dir():
            found += sorted(file for pattern in _OF_A_MODEL for file in path.glob(pattern))
    return [str(path).replace("{", "{{").replace("}", "}}") for path in found]


def parameters(name: str, trust_remote_code: bool) -> int:
    """Weights of a model, from the headers of its files, or from its config where they are still to be fetched. Raises KeyError."""
    folder = folder_of(name)
    if is_adapter(folder, name):
        return parameters(adapter_base(folder, name), trust_remote_code)
    if Path(name).is_dir():
        return find_given(name, trust_remote_code=trust_remote_code).parameters
    return shape_of(describe_given(name, trust_remote_code=trust_remote_code).config).parameters


def duration(seconds: float, cores: int, jobs: int) -> str:
    """Of so many seconds of one core, where each of the jobs uses two."""
    return f"About {max(1, round(seconds / 60 / max(1, min(cores, 2 * jobs))))} minutes on {cores} core(s)"


def rows_of(name: str, units: int) -> int:
    """Examples in a file, about: lines of a text file up to twice the units, else as many as units are used."""
    path = Path(name)
    if path.suffix.lower() not in (".jsonl", ".ndjson", ".csv", ".tsv"):
        return units
    lines = 0
    with path.open("rb") as file:
        while lines < 2 * units and file.readline():
            lines += 1
    return max(4, lines)
