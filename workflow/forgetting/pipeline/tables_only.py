"""The configs of tables that came from another machine without the models they were computed from (`tables_only: true`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from forgetting.config.fields import ConfigError


def check_configs(configs: Iterable[tuple[str, str]]) -> None:
    """Raise ConfigError when the config that a job left behind is not the one that the study gives it now.

    configs: the path of each job's config and what should stand there; a job that is not there is passed over.
    """
    for path, expected in configs:
        if Path(path).is_file() and (keys := list(_different(json.loads(expected), _read(path)))):
            raise ConfigError(
                f"{path} says that its tables were made with another config ({', '.join(keys)}), and with tables_only "
                "they cannot be made again: undo the change, or leave tables_only out to compute them."
            )


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except ValueError:
        raise ConfigError(f"{path}: not valid JSON; copy the results again") from None


def _different(expected: Any, found: Any, key: str = "") -> Iterator[str]:
    """Dotted keys at which two configs differ. A key that one of them lacks came or went with another version; of a method, which says
    only what is not at its default, every key counts."""
    if isinstance(expected, dict) and isinstance(found, dict) and key != "method":
        for name in sorted(expected.keys() & found.keys()):
            yield from _different(expected[name], found[name], f"{key}.{name}".lstrip("."))
    elif expected != found:
        yield key
