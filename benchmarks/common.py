"""What the benchmarks share: the configured study, its data, alternating repetitions, and tables in Markdown."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from tokenizers import Tokenizer as FastTokenizer

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "resources"
sys.path.insert(0, str(ROOT / "workflow"))  # also without an installed package

from forgetting.config.biography import PRETRAINED_GROUPS  # noqa: E402
from forgetting.config.plan import data_job  # noqa: E402
from forgetting.config.study import StudyConfig, load_study  # noqa: E402
from forgetting.scenarios.biography.dataset import build_data  # noqa: E402
from forgetting.scenarios.biography.questions import read_questions  # noqa: E402
from forgetting.scenarios.biography.rendering import Renderer, Template, read_templates  # noqa: E402
from forgetting.scenarios.biography.tokenizer import encode, end_token, load_tokenizer  # noqa: E402
from forgetting.schemas.people import PEOPLE  # noqa: E402
from forgetting.tables import atomic, read_table  # noqa: E402


def write_jsonl(file: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """A row a line."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def parser(description: str | None, given_data: bool = False) -> argparse.ArgumentParser:
    """A command line with the options that every measurement has. given_data: its data may be made before."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--threads", type=int, default=2, help="CPU threads")
    made.add_argument("--config", type=Path, nargs="+", default=[], help="overlays on config/config.yaml; config/smoke.yaml is a quick try")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU, where there is one")
    if given_data:
        made.add_argument("--data", type=Path, help="a folder with the files of the data stage of this config; made when not given")
    made.add_argument("--json", type=Path, help="also write the row of benchmarks/speed_table.py to this file")
    return made


def write_row(file: Path | None, measured: str, baseline: str = "", ratio: float | None = None, check: str = "", **more: object) -> None:
    """Hand over to speed_table.py, where it asked for it: what was measured, beside what, how many times faster that is, what is equal in
    both, and numbers by name. A script that measures in parts calls it after each, so that a part that is stopped costs no other."""
    if file:
        row = {"measured": measured, "baseline": baseline, "ratio": ratio, "check": check, **more}
        with atomic(file) as part:
            part.write_text(json.dumps(row), encoding="utf-8")


def pick(device: str) -> Any:
    """The torch device that `--device` names."""
    import torch

    return torch.device("cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu")


def now() -> float:
    """Seconds on a clock, once the GPU has done everything that it was given."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""What workflow/rules/common.smk sets for jobs; the GNU C library reads it when a process starts."""


def start_as_jobs_do() -> None:
    """Begin this program again where freed memory would not be kept as jobs keep it."""
    if not KEEPS_MEMORY.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEPS_MEMORY)


def use_threads(count: int) -> None:
    """Limit tokenizers, NumPy and child processes to `count` threads, and torch as soon as it is imported."""
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change`, nested mappings merged key by key."""
    merged = dict(base)
    for key, value in change.items():
        merged[key] = merge(merged[key], value) if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) else value
    return merged


def study(overlays: Sequence[Path] = (), change: Mapping[str, Any] | None = None) -> StudyConfig:
    """The study of the config files that the Snakefile names, with overlay files and then single values changed."""
    files = [*(ROOT / "config" / f"{name}.yaml" for name in ("config", "methods", "architectures")), *overlays]
    config: dict[str, Any] = {}
    for file in files:
        config = merge(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    return load_study(merge(config, change or {}))


def make_data(configured: StudyConfig, folder: Path) -> Path:
    """Run the data stage of seed 0 into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    build_data(data_job(configured, 0), RESOURCES, folder)
    return folder


@dataclass(frozen=True)
class Opened:
    """The files of a data stage, opened: persons, tokenizer, templates, and what renders biographies as tokens."""

    people: pd.DataFrame
    tokenizer: FastTokenizer
    end: int
    templates: dict[str, list[Template]]
    renderer: Renderer

    @classmethod
    def of(cls, folder: Path) -> Opened:
        people = read_table(folder / "people.parquet", PEOPLE)
        tokenizer = load_tokenizer(folder / "tokenizer")
        end = end_token(tokenizer)
        templates, questions = read_templates(RESOURCES / "templates"), read_questions(RESOURCES / "questions.yaml")
        return cls(
            people, tokenizer, end, templates, Renderer(people, templates, questions, lambda strings: encode(tokenizer, strings), end)
        )

    @property
    def pretrained(self) -> np.ndarray:
        """Numbers of the persons whose biographies are trained on."""
        return self.people.index[self.people["group"].isin(PRETRAINED_GROUPS)].to_numpy()


def seconds_of(function: Callable[[], object]) -> float:
    start = now()
    function()
    return now() - start


def alternate(functions: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each function. They take turns, so that a machine that slows down slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repetitions):
        for name, function in functions.items():
            seconds[name].append(seconds_of(function))
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory() -> float:
    """Largest resident memory of this process so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; numbers have three significant digits or no decimals."""
    print(f"\n**{title}**\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(_cell(value) for value in row)} |")
    print(flush=True)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
