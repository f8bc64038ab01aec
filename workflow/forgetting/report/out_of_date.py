"""Which tables of a study were made by other code, or with another config, than there is now.

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


def out_of_date(results: Path, repository: Path) -> list[str]:
    """A line for each table below `results` of a job whose script (with all that it imports) or config differs from that of
    `repository`, or is no longer there. A table that another program has saved again says nothing, and has none."""

    @functools.cache
    def code(script: str) -> str:
        path = repository / "workflow/scripts" / script
        return content_digest(path, *dependencies(path))

    @functools.cache
    def config(path: str) -> str:
        return content_digest(repository / path)

    lines = []
    for table in sorted(results.glob("seed*/**/*.parquet")):
        made_by = _made_by(table)
        if made_by:
            script, settings = made_by["script"], made_by["config"]
            asked = ((code, script, "code", f"workflow/scripts/{script}"), (config, settings, "config_content", settings))
            wrong = [f"{what}{said}" for now, key, name, what in asked if (said := _differs(now, key, made_by[name]))]
            if wrong:
                lines.append(f"{table.relative_to(results)}: {', '.join(wrong)}")
    return lines


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
