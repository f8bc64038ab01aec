"""Mistakes in a YAML file that are found before it means anything: Snakemake names neither the file nor the line of one."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from forgetting.config.fields import ConfigError


class _KeysOnce(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML keeps the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice: join the two", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def check_config_file(path: str | Path) -> None:
    """Raises ConfigError with file, line and reason when `path` is not YAML, not in UTF-8, has a key twice, or no keys at its top."""
    try:
        found = yaml.load(Path(path).read_text(encoding="utf-8"), _KeysOnce)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}; mend the YAML there") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must have keys at its top, as config/config.yaml has")
