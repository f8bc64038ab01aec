"""What the tables of a study were made by, and which of them by other code, or with another config, than there is now.

Snakemake makes such tables again, unless it was told not to (`--touch`) or a file was copied from elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from forgetting.dependencies import content_digest, dependencies
from forgetting.errors import StudyError

_NAMED = 3
"""Tables that are named of those that one change concerns."""


def origins(results: Path) -> dict[str, dict[str, str]]:
    """What each table of a job below `results` says it was made by (`made_by` of `pipeline/command.py`), by its path there. A table that
    another program has saved again says nothing, and is left out. Raises StudyError that names a table that cannot be read."""
    tables = sorted(results.glob("seed*/**/[!.]*.parquet"))
    return {str(table.relative_to(results)): made_by for table in tables if (made_by := _made_by(table))}


def out_of_date(results: Path, repository: Path) -> list[str]:
    """A line for each script (with all that it imports) and config that differs from that of `repository`, or is no longer there, with the
    tables that were made by it."""

    @functools.cache
    def code(script: str) -> str:
        path = repository / "workflow/scripts" / script
        return content_digest(path, *dependencies(path))

    @functools.cache
    def config(path: str) -> str:
        return content_digest(repository / path)

    made_otherwise: dict[str, list[str]] = {}
    for table, made_by in origins(results).items():
        script, settings = made_by["script"], made_by["config"]
        asked = ((code, script, "code", f"workflow/scripts/{script}"), (config, settings, "config_content", settings))
        for now, key, name, what in asked:
            if said := _differs(now, key, made_by[name]):
                made_otherwise.setdefault(f"{what}{said}", []).append(table)
    return [f"{why}: {_some(tables)}" for why, tables in made_otherwise.items()]


def _some(tables: list[str]) -> str:
    """The first of them, and how many more there are: a change of what all import concerns hundreds."""
    more = len(tables) - _NAMED
    return ", ".join(tables[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _differs(now: Callable[[str], str], key: str, then: str) -> str:
    try:
        return "" if now(key) == then else " has changed"
    except FileNotFoundError:
        return " is no longer there"


def _made_by(table: Path) -> dict[str, str]:
    try:
        metadata = pq.read_schema(table).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{table}: cannot be read ({error}); delete it and run again") from None
    found = {key.decode(): value.decode() for key, value in metadata.items()}
    return found if "script" in found else {}
