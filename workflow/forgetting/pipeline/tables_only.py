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

from forgetting.config.job import ConfigError, Run
from forgetting.config.study import VIEW_KEYS, StudyConfig

RECORDS = Path(".snakemake/metadata")


def handed_over_seeds(study: StudyConfig, root: Path, records: Path = RECORDS) -> list[int]:
    """Seeds with tables of models, without a single model, and without Snakemake's record that the models were trained here.

    Raises ConfigError when such tables were made under another config.
    """
    seeds = [seed for seed in study.seeds if _is_handed_over(root / f"seed{seed}", records)]
    for seed in seeds:
        for path, expected in _configs(study, root, seed):
            if path.is_file() and (keys := list(_different(*_complete(expected, _read(path))))):
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


def _configs(study: StudyConfig, root: Path, seed: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where the config of each job of a seed stands, and what the study makes of it."""
    folder = root / f"seed{seed}"
    for stage in ("data", "pretrain", "task0", "fisher", "drift", "gates"):
        yield folder / stage / "config.json", study.run(stage, seed)
    for stage in ("task1", "recovery"):
        for arm in [*study.every_arm, *(["controls"] if stage == "recovery" else [])]:
            yield folder / stage / arm / "config.json", study.run(stage, seed, arm)
    for arm in study.every_arm:
        for view in VIEW_KEYS:
            yield folder / "views" / arm / f"{view}.json", study.run("views", seed, arm, view)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ConfigError(f"{path}: not valid JSON; copy the results again") from None


def _complete(expected: Any, found: Any) -> tuple[Any, Any]:
    """Both with the keys that they lack at their defaults: those that came later left everything as it was."""
    try:
        given, older = (Run.model_validate(config).model_dump(mode="json") for config in (expected, found))
    except ValidationError:  # a key that is no more
        return expected, found
    return given, older


def _different(expected: Any, found: Any, key: str = "") -> Iterator[str]:
    """Dotted keys at which two configs differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            yield from _different(expected.get(name), found.get(name), f"{key}.{name}".lstrip("."))
    elif expected != found:
        yield key
