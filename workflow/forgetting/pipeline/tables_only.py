"""Seeds whose tables came from another machine without the models that they were computed from.

Their tables cannot be made again here, so the workflow takes them as they are: figures and tables are drawn from them, and nothing of the
seed is computed. What would make them wrong and can be seen, another config, is an error.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetting.config.fields import ConfigError
from forgetting.config.jobs.base import Job
from forgetting.config.plan import jobs
from forgetting.config.study import StudyConfig

RECORDS = Path(".snakemake/metadata")


def handed_over_seeds(study: StudyConfig, root: Path, records: Path = RECORDS) -> list[int]:
    """Seeds with tables of models, without a single model, and without Snakemake's record that the models were trained here.

    Raises ConfigError when such tables were made under another config.
    """
    seeds = [seed for seed in study.seeds if _is_handed_over(root / f"seed{seed}", records)]
    for seed in seeds:
        for name, job in jobs(study, seed).items():
            path = root / f"seed{seed}" / f"{name}.json"
            if path.is_file() and (keys := list(_different(*_complete(job, _read(path))))):
                raise ConfigError(
                    f"{path} says that the tables of seed {seed} were made with another config ({', '.join(keys)}), and without the models "
                    f"of that seed they cannot be made again. Undo the change, or delete {root / f'seed{seed}'} to compute all of it."
                )
    return seeds


def _is_handed_over(folder: Path, records: Path) -> bool:
    record = records / urlsafe_b64encode(str(folder / "pretrain" / "metrics.parquet").encode()).decode()
    if record.exists() or (folder / "pretrain" / "model" / "model.safetensors").exists():
        return False
    tables = (path for path in folder.rglob("*.parquet") if path.relative_to(folder).parts[0] != "data")
    return any(tables) and not any(folder.rglob("*.safetensors"))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ConfigError(f"{path}: not valid JSON; copy the results again") from None


def _complete(expected: Job, found: Any) -> tuple[Any, Any]:
    """Both with the keys that they lack at their defaults: those that came later left everything as it was."""
    given = expected.model_dump(mode="json")
    try:
        return given, type(expected).model_validate(found).model_dump(mode="json")
    except ValidationError:  # a key that is no more
        return given, found


def _different(expected: Any, found: Any, key: str = "") -> Iterator[str]:
    """Dotted keys at which two configs differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            yield from _different(expected.get(name), found.get(name), f"{key}.{name}".lstrip("."))
    elif expected != found:
        yield key
