"""What the pages have in common: how a template is filled in, the tables beside it, and how numbers, names and figures are written."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from forgetting.intervals import Interval
from forgetting.report.provenance import package_versions, revision
from forgetting.tables import atomic, write_table

REPOSITORY = Path(__file__).resolve().parents[3]


def write_page(template: Path, output: Path, repository: Path = REPOSITORY, **values: Any) -> None:
    """Fill in a template, whose folder has those that it extends, with these values, the time, and the revision and packages in use."""
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update({form.__name__: form for form in (number, interval, duration, percent, whole, digits, words, marked)})
    page = environment.get_template(template.name).render(
        made=datetime.now(UTC), revision=revision(repository), versions=package_versions(repository), **values
    )
    with atomic(output) as part:
        part.write_text(page, encoding="utf-8")


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path, schemas: Mapping[str, pa.Schema]) -> None:
    """Write each table as Parquet and CSV; those of `schemas` with exactly their columns."""
    for name, frame in tables.items():
        if name in schemas:
            write_table(frame, folder / f"{name}.parquet", schemas[name])
        else:
            with atomic(folder / f"{name}.parquet") as part:
                frame.to_parquet(part, index=False)
        with atomic(folder / f"{name}.csv") as part:
            frame.to_csv(part, index=False)


def embedded(figure: Figure) -> str:
    """A figure as text for a page that needs no other file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={})
    return b64encode(buffer.getvalue()).decode()


def number(value: float, digits: int = 2) -> str:
    """With so many decimals; a dash where not known."""
    return f"{round(value, digits) + 0:.{digits}f}" if isfinite(value) else "-"


def interval(ends: Interval) -> str:
    """The ends of an interval; nothing where there are none."""
    return f"[{number(ends.low)}, {number(ends.high)}]" if isfinite(ends.low) and isfinite(ends.high) else ""


def duration(seconds: float) -> str:
    """Seconds for reading: 4.2 s, 3 min 05 s, 2 h 07 min. A dash where not measured."""
    if not isfinite(seconds):
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float) -> str:
    """A share as a percentage; a dash where it is not defined."""
    return f"{100 * share:.1f} %" if isfinite(share) else "-"


def whole(number: float) -> str:
    """A number without decimals; a dash where not measured."""
    return f"{number:,.0f}" if isfinite(number) else "-"


def digits(number: float) -> str:
    """A number with three digits; a dash where not measured."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}" if isfinite(number) else "-"


def words(name: str) -> str:
    """The name of a group or gate as it is written in sentences."""
    return re.sub(r"\btask(\d+)", r"Task \1", name.replace("_", " "))


def marked(text: str) -> Markup:
    """A text with names in backquotes, as HTML."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))
