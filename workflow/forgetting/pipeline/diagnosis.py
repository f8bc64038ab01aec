"""What a plan needs to know of a diagnosis: the user's files, and what it will take. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from forgetting.config.diagnosis import Diagnosis
from forgetting.errors import StudyError
from forgetting.model.given_files import adapter_base, describe_given, find_given, folder_of, is_adapter, memory_needed, shape_of

_OF_A_MODEL = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_OF_EXAMPLES = (".old", ".new", ".text")
_CONTROLS = 2
"""Runs from `after` beside the right answers and the doses: shuffled answers, and other wordings."""
TOKENS = 60
"""Of a question with its answer; assumption."""


def input_paths(diagnosis: Diagnosis, names: Iterable[str]) -> list[str]:
    """The files of the user behind these keys (`random`: those of `after`). Raises StudyError that names a file that is missing."""
    return files_behind({f"diagnose.{name}": getattr(diagnosis, "after" if name == "random" else name) for name in names})


def files_behind(given: Mapping[str, str | None]) -> list[str]:
    """The files behind keys of a section, for a plan: none of a hub name, nor of what is not given. Braces in names are escaped, as
    Snakemake has them. Raises StudyError that names a file that is missing."""
    found: list[Path] = []
    for key, name in given.items():
        if name is None:
            continue
        path = Path(name)
        if key.endswith(_OF_EXAMPLES):
            if not path.exists():
                raise StudyError(f"{key} {name}: no such file or folder")
            found += [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        elif path.is_dir():
            found += sorted(file for pattern in _OF_A_MODEL for file in path.glob(pattern))
    return [str(path).replace("{", "{{").replace("}", "}}") for path in found]


def forecast_text(diagnosis: Diagnosis, operations_per_second: float, cores: int) -> str:
    """How long it will take, with how much memory and disk, in a few lines. Raises StudyError for a model that cannot be used."""
    names = [name for name in (diagnosis.before, diagnosis.base, diagnosis.after) if name]
    try:
        weights = [parameters(name, diagnosis.trust_remote_code) for name in names][-1]
    except KeyError:
        return "How long the diagnosis takes is not known: the config of the model does not tell its size."
    probe = diagnosis.probe
    runs = len(diagnosis.starts) * len(probe.rates) * probe.seeds + _CONTROLS + len(probe.doses)
    measured = min(diagnosis.units, rows_of(diagnosis.old, diagnosis.units)) * (1 - diagnosis.train_share)
    evaluations = 4 + sum(step < probe.steps for step in probe.evaluate_steps)
    trained = runs * probe.steps * probe.batch_size
    asked = runs * evaluations * measured + (25 if diagnosis.remedies else 0) * 3 * measured
    operations = weights * TOKENS * (6 * trained + 2 * asked)
    memory = memory_needed(weights, trained=True)
    disk = memory_needed(weights, trained=False) if diagnosis.write else 0
    return (
        f"Diagnosis {diagnosis.name}: {weights / 1e6:.3g} million weights, {runs} trainings of {probe.steps} steps of {probe.batch_size}. "
        f"{duration(operations / operations_per_second, cores, len(diagnosis.starts))}, "
        f"{memory / 1e9:.1f} GB of memory a job (up to {len(diagnosis.starts)} at a time), {disk / 1e9 + 0.05:.2g} GB of disk. "
        "Computed from sizes, not measured (operations_per_second)."
    )


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
