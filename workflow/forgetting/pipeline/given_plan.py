"""What a plan needs to know of a model and examples of the user's own: their files, and what diagnosis and advice will take. (No torch.)"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from forgetting.config.advice import Advice
from forgetting.config.asked import Asked, units_to_train
from forgetting.config.diagnosis import Diagnosis
from forgetting.errors import StudyError
from forgetting.model.given_files import adapter_base, describe_given, find_given, folder_of, is_adapter, memory_needed, shape_of
from forgetting.pipeline.given import FAMILIES

_OF_A_MODEL = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_OF_EXAMPLES = ("old", "new", "text")
TOKENS = 60
"""Of a question with its answer; assumption."""
_MOST_READ = 50_000
"""Rows that are looked at for a plan."""


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


def raw_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a text file as they stand there, those that can be read. Raises StudyError for a file of another kind."""
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".ndjson", ".csv", ".tsv"):
        raise StudyError(f"{path}: is no text with a row a line")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if suffix in (".csv", ".tsv"):
            yield from csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")
            return
        for line in file:
            with suppress(ValueError):
                if isinstance(row := json.loads(line), dict):
                    yield row


def controls_of(diagnosis: Diagnosis) -> int:
    """Runs from `after` beside those with the right answers, at most: with shuffled answers; with other wordings, where there are any; and
    with doses, those that are smaller than all units to train on. Which rows can be used is not known, and of a file that is no text with a
    row a line neither are wordings and units."""
    units, wordings = diagnosis.units, True
    with suppress(StudyError, csv.Error):
        rows = list(islice(raw_rows(Path(diagnosis.old)), _MOST_READ))
        named = {str(row.get("unit") or row.get("prompt") or row.get("messages")) for row in rows}
        units, wordings = min(units, len(named)), any(row.get("wordings") for row in rows)
    trained_on = units_to_train(units, diagnosis.train_share)
    return 1 + wordings + sum(dose < trained_on for dose in diagnosis.probe.doses)


def diagnosis_forecast(diagnosis: Diagnosis, operations_per_second: float, cores: int) -> str:
    """How long it will take, with how much memory and disk, in a few lines. Raises StudyError for a model that cannot be used."""
    names = [name for name in (diagnosis.before, diagnosis.base, diagnosis.after) if name]
    try:
        weights = [parameters(name, diagnosis.trust_remote_code) for name in names][-1]
    except KeyError:
        return "How long the diagnosis takes is not known: the config of the model does not tell its size."
    probe = diagnosis.probe
    controls = controls_of(diagnosis)
    runs = len(diagnosis.starts) * len(probe.rates) * probe.seeds + controls
    counted = f"{'up to ' if controls > 1 else ''}{runs}"
    measured = min(diagnosis.units, rows_of(diagnosis.old, diagnosis.units)) * (1 - diagnosis.train_share)
    evaluations = 4 + sum(step < probe.steps for step in probe.evaluate_steps)
    trained = runs * probe.steps * probe.batch_size
    asked = runs * evaluations * measured + (25 if diagnosis.remedies else 0) * 3 * measured
    operations = weights * TOKENS * (6 * trained + 2 * asked)
    memory = memory_needed(weights, trained=True)
    disk = memory_needed(weights, trained=False) if diagnosis.write else 0
    return (
        f"Diagnosis {diagnosis.name}: {weights / 1e6:.3g} million weights, {counted} trainings of {probe.steps} steps "
        f"of {probe.batch_size}. "
        f"{duration(operations / operations_per_second, cores, len(diagnosis.starts))}, "
        f"{memory / 1e9:.1f} GB of memory a job (up to {len(diagnosis.starts)} at a time), {disk / 1e9 + 0.05:.2g} GB of disk. "
        "Computed from sizes, not measured (operations_per_second)."
    )


def check_trials(advice: Advice) -> None:
    """Raises StudyError, before any job, for a method that cannot be tried: LoRA without peft, or freezing in a model of which it is not
    known where the layers are."""
    if advice.trial.lora and find_spec("peft") is None:
        extra = ".venv/bin/pip install -e '.[diagnose]'"
        raise StudyError(f"advise.trial.lora needs the package peft: {extra}, or say advise.trial.lora: false")
    if advice.trial.freeze and Path(advice.before).is_dir():
        family = describe_given(advice.before, trust_remote_code=advice.trust_remote_code).config.get("model_type")
        if family not in FAMILIES:
            raise StudyError(f"advise.trial.freeze: where a model of the family {family!r} has its layers is not known: say []")


def advice_forecast(advice: Advice, operations_per_second: float, cores: int) -> str:
    """How long it will take, with how much memory and disk, in a few lines. Raises StudyError for a model that cannot be used."""
    try:
        weights = parameters(advice.before, advice.trust_remote_code)
    except KeyError:
        return "How long the advice takes is not known: the config of the model does not tell its size."
    trial, jobs = advice.trial, len(advice.tried)
    repeats = len(trial.rates) * trial.seeds
    trained = repeats * trial.steps * trial.batch_size * (jobs + len(trial.replay))  # replay doubles a batch
    old, new = rows_of(advice.old, advice.units), rows_of(advice.new, advice.units)
    measured = min(old, advice.units) * (1 - advice.train_share) + min(new, advice.units)
    evaluations = 2 + sum(step < trial.steps for step in trial.evaluate_steps)
    operations = weights * TOKENS * (6 * trained + 2 * jobs * repeats * evaluations * measured)
    return (
        f"Advice {advice.name}: {weights / 1e6:.3g} million weights, {jobs * repeats} trials of {trial.steps} steps of "
        f"{trial.batch_size}. "
        f"{duration(operations / operations_per_second, cores, jobs)}, {memory_needed(weights, trained=True) / 1e9:.1f} GB of memory a job "
        f"(up to {jobs} at a time), 0.05 GB of disk. Computed from sizes, not measured (operations_per_second)."
    )
