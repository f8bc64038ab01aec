"""Reading and writing files, Parquet tables above all, that never leaves or accepts a half one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forgetting.errors import StudyError

MADE_BY: dict[str, str] = {}
"""What the job that runs is known by (`pipeline/command.py`). It is written into every table, so that a report can tell which are of
other code or another config than there is now."""


class TableError(StudyError):
    """A table that is missing, truncated or of another shape; the message names the file."""


class WriteError(StudyError):
    """A file that cannot be written; the message names it."""


@contextmanager
def writing(path: str | Path, *others: type[Exception]) -> Iterator[None]:
    """Raises WriteError that names `path` when the system refuses to write; `others`: what a library raises in place of OSError."""
    refusals: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except refusals as error:
        raise WriteError(
            f"{path}: cannot be written ({error}). Is the disk full, a quota reached, or the folder read-only? "
            "Mend that and run the same command again"
        ) from None


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves it there only when the block ends without an error.

    Raises WriteError that names `path` when the system refuses to write.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of a job that was killed; it may be a second name of a finished file
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def output_paths(outputs: Sequence[str | Path], formats: Sequence[str]) -> list[Path]:
    """The files to write: the given paths, or one in each format when a single path without such a suffix (a stem) is given.

    Raises ValueError that names a path of another format.
    """
    paths = [Path(output) for output in outputs]
    if len(paths) == 1 and paths[0].suffix.lstrip(".") not in formats:
        return [paths[0].with_name(f"{paths[0].name}.{kind}") for kind in formats]
    for path in paths:
        if path.suffix.lstrip(".") not in formats:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(formats)}")
    return paths


def write_formats(paths: Sequence[Path], write: Callable[[Path, str], None]) -> None:
    """Call `write(temporary path, format)` for each path, and move all into place when every one has been written."""
    with ExitStack() as stack:
        parts = [stack.enter_context(atomic(path)) for path in paths]
        for path, part in zip(paths, parts, strict=True):
            with writing(path):
                write(part, path.suffix.lstrip("."))


def write_table(frame: pd.DataFrame, path: str | Path, schema: pa.Schema) -> None:
    """Write `frame` with exactly the columns of `schema`, atomically. Raises TableError that names a missing or extra column."""
    expected, given = set(schema.names), set(frame.columns)
    if expected != given:
        raise TableError(f"{path}: missing columns {sorted(expected - given)}, extra columns {sorted(given - expected)}")
    table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False).replace_schema_metadata(MADE_BY)
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_table(path: str | Path, schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table of this schema. One that another program has saved again may have its columns in another order, and other types, as
    long as every value fits the type of the schema. Raises TableError when it is missing, unreadable, or of another schema."""
    try:
        file = pq.ParquetFile(path)
        expected, found = set(schema.names), set(file.schema_arrow.names)
        if expected != found:
            differs = f"missing columns {sorted(expected - found)}, extra columns {sorted(found - expected)}"
            raise TableError(f"{path}: {differs}; delete it and run again")
        names = columns or schema.names
        table = file.read(columns=names).select(names)
        for place, name in enumerate(names):
            table = table.set_column(place, schema.field(name), _cast(table[name], schema.field(name).type, f"{path}: column {name!r}"))
        return table.replace_schema_metadata().to_pandas()
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; run again what makes it") from None
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from None


def _cast(values: pa.ChunkedArray, expected: pa.DataType, what: str) -> pa.ChunkedArray:
    """`values` as the expected type. Raises TableError that names `what` and both types when that would change a value, or what it is."""
    found = values.type
    if found == expected:
        return values
    try:
        plain = values.cast(found.value_type) if pa.types.is_dictionary(found) else values
        if _is_text(plain.type) == _is_text(expected):
            cast = plain.cast(expected)
            wider = pa.types.is_floating(plain.type) and pa.types.is_floating(expected) and plain.type.bit_width < expected.bit_width
            if wider or cast.cast(plain.type).equals(plain):  # to Arrow, NaN equals nothing
                return cast
    except pa.ArrowException:
        pass
    raise TableError(f"{what} has the type {found}, expected {expected}, and its values do not fit; delete it and run again")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def read_tables(paths: list[str] | list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of several tables of one schema, one after the other."""
    return pd.concat([read_table(path, schema, columns) for path in paths], ignore_index=True)
