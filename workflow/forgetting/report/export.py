"""Taking the small tables of a finished study into docs/results, from which the documents are rendered.

Only tables that the code and the config of now would make again as they are, from a commit: Snakemake says so in a dry run. What is
taken is rounded to four significant digits and named in provenance.csv with the commit, config, seeds and day that it comes from.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from forgetting.errors import StudyError
from forgetting.report.documents import IMAGES, PROVENANCE, RESULTS, TEMPLATES
from forgetting.report.provenance import revision
from forgetting.tables import atomic

DIGITS = 4
CODE = ("workflow/", "config/", "resources/", "Snakefile")
"""What decides a result; other changed files do no harm."""
RECIPE = ("scale", "data", "tokenizer", "model", "pretrain", "task0", "task1", "evaluation", "precision")
"""The parts of a config in which all tables of docs/results of one scale must agree; arms and seeds may differ between `all` and `methods`.
Another scale is another study, such as the crossed experiment, and has tables of its own."""
COLUMNS = ["file", "scale", "seeds", "revision", "config", "recipe", "made"]
Stale = Callable[[Path, Path, Sequence[Path]], list[str]]


def export(repository: Path, study: Path, only: Sequence[str] = (), stale: Stale | None = None) -> list[Path]:
    """Copy the tables (CSV) of the study in `study` (results/<scale>), and the figures (PNG) that the documents show; the paths written.

    only: names of tables and figures, if not all that there are. stale: what of the files would have to be made again, by default what
    Snakemake says. Raises StudyError when the code is not committed, when a file is not what code and config of now make, or when files of
    another commit or recipe would stay beside the new ones of their scale.
    """
    found = revision(repository)
    if not found.commit:
        raise StudyError(f"results are exported with their git revision, and there is none: {found.reason}")
    if changed := [path for path in found.changed if path.startswith(CODE)]:
        raise StudyError(f"not exported: code or config differs from the last commit ({', '.join(changed[:3])}); commit it and run again")
    config = _read_config(study)
    targets = {path: repository / RESULTS / path.name for path in sorted((study / "tables").glob("*.csv"))}
    if not targets:
        raise StudyError(f"{study / 'tables'}: no tables to export; run the study first")
    shown = shown_figures(repository)
    targets |= {path: repository / IMAGES / path.name for path in sorted((study / "figures").glob("*.png")) if path.stem in shown}
    targets = {path: target for path, target in targets.items() if not only or path.stem in only}
    if missing := set(only) - {path.stem for path in targets}:
        raise StudyError(f"{study}: has no table, and no figure that a document shows, of the name {', '.join(sorted(missing))}")
    if old := (stale or to_be_made_again)(repository, study, list(targets)):
        raise StudyError(
            f"not exported: made by other code or another config than those of now ({', '.join(old[:5])}); run the study again"
        )
    origin = {
        "scale": config["scale"],
        "seeds": " ".join(map(str, config["seeds"])),
        "revision": found.commit,
        "config": digest(config),
        "recipe": digest({key: config[key] for key in RECIPE}),
    }
    days = {path: datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat() for path in targets}
    rows = [{"file": path.name, **origin, "made": days[path]} for path in targets]
    record = repository / RESULTS / f"{PROVENANCE}.csv"
    provenance = _joined(record, pd.DataFrame(rows, columns=COLUMNS))
    for path, target in targets.items():
        if path.suffix == ".csv":
            _write(rounded(pd.read_csv(path)), target)
        else:
            with atomic(target) as part:
                shutil.copyfile(path, part)
    _write(provenance, record)
    return [*targets.values(), record]


def shown_figures(repository: Path) -> set[str]:
    """Names of the figures that README.md or a template shows."""
    texts = [path.read_text(encoding="utf-8") for path in [repository / "README.md", *(repository / TEMPLATES).glob("*.jinja")]]
    return {name for text in texts for names in re.findall(r"images/(\w+)\.png|\bimage\(\"(\w+)\"", text) for name in names if name}


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers of DIGITS significant digits; whole numbers stay as they are."""

    def shorter(value: float) -> float:
        return value if not np.isfinite(value) or value == round(value) else float(f"{value:.{DIGITS}g}")

    floats = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map(shorter) for name in floats})


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a config."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def to_be_made_again(repository: Path, study: Path, files: Sequence[Path]) -> list[str]:
    """The rules that Snakemake would run to have these files as the code of now and the config of the study make them."""
    base: dict[str, Any] = {}
    for name in ("config.yaml", "methods.yaml"):
        base |= yaml.safe_load((repository / "config" / name).read_text(encoding="utf-8"))
    names = [str(path.resolve().relative_to(repository.resolve())) for path in files]
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "config.yaml"
        overlay.write_text(json.dumps(as_overlay(_read_config(study), base)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *names, "--configfile", str(overlay)]
        done = subprocess.run(command, cwd=repository, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise StudyError(f"Snakemake cannot tell whether {study} is up to date:\n{done.stdout[-2000:]}")
    return sorted(set(re.findall(r"^(?:local)?rule (\w+):$", done.stdout, re.M)))


def as_overlay(whole: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What must be laid over `base` to have `whole`: keys that are only in the base become null, which leaves a family out."""
    laid: dict[str, Any] = {name: None for name in base if name not in whole}
    for name, value in whole.items():
        below = base.get(name)
        laid[name] = as_overlay(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
    return laid


def _read_config(study: Path) -> dict[str, Any]:
    path = study / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: not the config of a study ({error})") from None


def _joined(path: Path, new: pd.DataFrame) -> pd.DataFrame:
    """The rows of the provenance so far, in place of which stand those of `new`; those of a scale must be of one commit and recipe."""
    if not path.is_file():
        return new
    old = pd.read_csv(path, dtype=str)
    kept = old[~old["file"].isin(new["file"])]
    same_scale = kept[kept["scale"] == new["scale"].iloc[0]]
    for column in ("revision", "recipe"):
        if others := sorted(same_scale.loc[same_scale[column] != new[column].iloc[0], "file"]):
            raise StudyError(
                f"not exported: {', '.join(others)} in {RESULTS} would stay beside the new files, but are of another {column}; "
                "export them again from the same commit and recipe, or delete them first"
            )
    return pd.concat([kept, new], ignore_index=True).sort_values("file", ignore_index=True)


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic(path) as part:
        table.to_csv(part, index=False)
