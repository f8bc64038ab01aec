"""Write the tables of config/README.md and config/schema.json from the models of the configuration; with --check, only compare."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from forgetting.config.fields import ConfigError
from forgetting.config.reference import editor_schema, with_tables
from forgetting.pipeline.command import run_command

CONFIG = Path("config")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a file is not current, and write nothing")
    parser.add_argument("--config", type=Path, default=CONFIG, help="folder of README.md and schema.json (default: %(default)s)")
    arguments = parser.parse_args()
    readme, schema = arguments.config / "README.md", arguments.config / "schema.json"
    wanted = {
        readme: with_tables(readme.read_text(encoding="utf-8")),
        schema: json.dumps(editor_schema(), indent=1, ensure_ascii=False) + "\n",
    }
    for path, text in wanted.items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments.check:
            raise ConfigError(f"{path} is not what the models say: run python workflow/scripts/config_reference.py")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
