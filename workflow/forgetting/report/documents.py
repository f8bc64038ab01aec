"""Documents whose numbers come from tables in docs/results: docs/findings.md, and parts of README.md, docs/diagnose.md and docs/cost.md.

A template says what a number means; the number itself is always a cell of a table, so nothing is rounded, clipped or forgotten by hand.
What the tables do not have reads *not run yet*. Without exported tables there is nothing to render, and all documents stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from forgetting.analysis.summary import SUMMARISED
from forgetting.errors import StudyError
from forgetting.report.readings import (
    NOT_MEASURED,
    NOT_RUN,
    Claim,
    Found,
    Place,
    Tables,
    find,
    found_in,
    judgement,
    read_claims,
    rows_of,
    rule_text,
)

RESULTS, TEMPLATES, IMAGES = Path("docs/results"), Path("docs/templates"), Path("docs/images")
CLAIMS = ("claims", "earlier-claims", "predictions")
"""Files of claims in docs/: of the paper, of this project before it was reviewed, and what it expected of the runs since."""
PROVENANCE = "provenance"
"""Name of the table that says by what each of the other files was made."""
DOCUMENTS = {"findings.md.jinja": Path("docs/findings.md")}
"""Templates of whole documents."""
BLOCKS = {
    "results.md.jinja": Path("README.md"),
    "diagnosis-known.md.jinja": Path("docs/diagnose.md"),
    "costs.md.jinja": Path("docs/cost.md"),
}
"""Templates of what stands in a document between BEGIN and END."""
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
MISSING = f"*{NOT_RUN}*"
_WHOLE = ("step", "steps", "checkpoint", "parameters", "bytes", "seeds", "seed")
_TYPED = re.compile(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)?(?: ?%)?(?![\w.]*\w)")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.S)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)


@dataclass(frozen=True)
class Row:
    """A row of a table, for templates."""

    series: pd.Series

    def __getitem__(self, column: str) -> str:
        """A cell of words. Raises StudyError that names a column which the table does not have."""
        if column not in self.series:
            raise StudyError(f"a table has no column {column!r}; it has {', '.join(map(str, self.series.index))}")
        value = self.series[column]
        return "" if pd.isna(value) else str(value)

    def cell(self, column: str, places: int = 3) -> str:
        """A number with its interval; that it is not there yet, in a table that was made before there was such a number."""
        if column in SUMMARISED and column not in self.series:
            return MISSING
        self[column]
        return text_of(found_in(self.series, column), column, places)

    def number(self, column: str, unit: float = 1) -> str:
        """A number without an interval, in units of so many, without decimals; a dash where there is none."""
        self[column]
        return "-" if pd.isna(self.series[column]) else number_text(self.series[column] / unit, 0)


class Results:
    """The exported tables, and what templates call to print them."""

    def __init__(self, tables: Tables, claims: Mapping[str, list[Claim]], paper: Mapping[str, Any], images: set[str]) -> None:
        self.tables, self._claims, self.paper, self.images = tables, claims, paper, images

    @classmethod
    def of(cls, repository: Path) -> Results:
        """Those of a repository."""
        tables = {path.stem: pd.read_csv(path) for path in sorted((repository / RESULTS).glob("*.csv"))}
        paper = yaml.safe_load((repository / "resources/paper_results.yaml").read_text(encoding="utf-8"))
        images = {path.stem for path in (repository / IMAGES).glob("*.png")}
        return cls(tables, {name: read_claims(repository / f"docs/{name}.yaml") for name in CLAIMS}, paper, images)

    def has(self, table: str) -> bool:
        return table in self.tables

    def rows(self, table: str, **row: object) -> list[Row]:
        """The rows of a table in which columns have these values; none of a table that is missing."""
        if table not in self.tables:
            return []
        return [Row(series) for _, series in rows_of(self.tables[table], row).iterrows()]

    def cell(self, table: str, column: str, places: int = 3, **row: object) -> str:
        """A number of a table with its interval, or that it is not there yet."""
        place = Place(table=table, column=column, row={name: str(value) for name, value in row.items()})
        return text_of(find(self.tables, place), column, places)

    def claims(self, name: str, headlines: bool = False) -> list[dict[str, str]]:
        """Each claim of docs/<name>.yaml as words: claim, stated, source, known_through, here, floors, rule, reading, note.
        With `headlines` only the claims and the floors that README.md shows."""
        return [self._told(claim, headlines) for claim in self._claims[name] if claim.headline or not headlines]

    def _told(self, claim: Claim, headlines: bool) -> dict[str, str]:
        shown = [floor for floor in claim.floors if floor.headline or not headlines]
        floors = [f"{floor.name} {text_of(find(self.tables, floor), floor.column, claim.places)}" for floor in shown]
        told = {"floors": "; ".join(floors), "here": NOT_MEASURED, "rule": "", "reading": NOT_MEASURED}
        if claim.measured is not None and claim.holds is not None:
            number = text_of(find(self.tables, claim.measured), claim.measured.column, claim.places)
            told |= {"here": f"{claim.quantity}: {number}" if claim.quantity else number}
            told |= {"rule": rule_text(claim.holds, claim.floors), "reading": judgement(claim, self.tables)}
        return {name: getattr(claim, name) for name in ("claim", "stated", "source", "known_through", "note")} | told

    def image(self, name: str, about: str, folder: str) -> str:
        """A figure, in `folder` as seen from the document; or that there is none yet."""
        return f"![{about}]({folder}/{name}.png)" if name in self.images else f"*{about}: {NOT_RUN}*"


def number_text(value: float, places: int = 3) -> str:
    """A number with so many decimals (never minus zero) and thousands apart."""
    return f"{value:,.{places}f}" if round(value, places) else f"{0:.{places}f}"


def text_of(found: Found | None, column: str, places: int = 3) -> str:
    """A number for reading: value [low, high], and in how many seeds where that is not in all of them."""
    if found is None:
        return MISSING
    if np.isnan(found.value):
        return "not reached" if found.seeds else "-"
    if column.rsplit("_", 1)[-1] in _WHOLE:
        places = 0
    text = "no limit" if np.isinf(found.value) else number_text(found.value, places)
    if not np.isnan([found.low, found.high]).any():
        text += f" [{number_text(found.low, places)}, {number_text(found.high, places)}]"
    return text if found.reached in (0, found.seeds) else f"{text} ({found.reached} of {found.seeds} seeds)"


def render(repository: Path, results: Results | None = None) -> dict[Path, str]:
    """The text of every document that is made from tables, by its path in the repository; none where no table was exported.

    Raises StudyError that names a template with a fault, or a document without the marks of its block.
    """
    if results is None:
        if not (repository / RESULTS / f"{PROVENANCE}.csv").is_file():
            return {}
        results = Results.of(repository)
    made = {document: _fill(repository, template, results) for template, document in DOCUMENTS.items()}
    for template, document in BLOCKS.items():
        whole = (repository / document).read_text(encoding="utf-8")
        before, begin, rest = whole.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise StudyError(f"{document}: the lines {BEGIN} and {END} must stand around its results")
        made[document] = f"{before}{BEGIN}\n\n{_fill(repository, template, results).strip()}\n\n{END}{after}"
    return made


def _fill(repository: Path, template: str, results: Results) -> str:
    loader = FileSystemLoader(repository / TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    try:
        return environment.get_template(template).render(results=results, cell=results.cell, rows=results.rows)
    except TemplateError as error:
        raise StudyError(f"{TEMPLATES / template}: {error}") from None


def differences(repository: Path) -> list[Path]:
    """The documents whose text is not what their tables give."""
    return [path for path, text in render(repository).items() if (repository / path).read_text(encoding="utf-8") != text]


def typed_numbers(template: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Numbers in the prose of a template that look like a result: decimals and percentages outside expressions and code, unless allowed."""
    prose = _CODE.sub(" ", _JINJA.sub(" ", template))
    found = [match[0] for match in _TYPED.finditer(prose) if "." in match[0] or "%" in match[0]]
    return [number for number in found if number not in allowed]
