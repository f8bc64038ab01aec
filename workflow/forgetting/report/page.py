"""The report: one HTML page that holds all it shows, read from top to bottom, by question.

It reads figures, tables, captions and benchmark files, loads nothing from elsewhere and runs no script, so it opens offline and prints.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from docutils.core import publish_parts
from docutils.utils import SystemMessage
from markupsafe import Markup

from forgetting.analysis.summary import read_gates
from forgetting.analysis.words import side
from forgetting.data.points import never_had_task0
from forgetting.errors import StudyError
from forgetting.figures.catalogue import FORMATS, Shown
from forgetting.intervals import Interval
from forgetting.report.answers import answers, arm_words, headline
from forgetting.report.costs import read_training, stage_totals
from forgetting.report.html import write_page
from forgetting.report.out_of_date import origins, out_of_date
from forgetting.report.provenance import machine
from forgetting.report.runtimes import read_jobs, stage_costs

PAGE, INTRODUCTION = "page.html", "workflow.rst"
"""The template, and beside it what introduces the study."""
_MANY_COLUMNS = 10
_LONG, _FIRST = 30, 14
"""Of a table on its side with more rows than the one, so many stand open: of the verdicts, the conclusion and what answers."""
_PRINTED_ROWS, _PRINTED_COLUMNS = 60, 19
"""Of the largest table that is printed."""
_SHORT = 24
"""Longest text of a cell that is kept in one line."""
_NUMBER = re.compile(r"(-|-?[\d,.]+(?:e-?\d+)?(?: %)?)(?: (\[.+|\(\d.+))?")
"""A number or a dash, then perhaps an interval and in how many seeds."""
_COMPARED_WITH_SEQ = "method_table"
"""The table that says how each method compares with `seq`."""


@dataclass(frozen=True)
class Cell:
    """A value of a table, and behind it its interval or what else is said of it, in small print."""

    value: str
    more: str
    kind: Literal["number", "text", "long"]


@dataclass(frozen=True)
class Table:
    """A table for reading; `flipped`: its rows are the columns of the file, since the file has more columns than rows."""

    header: list[str]
    rows: list[list[Cell]]
    flipped: bool

    @property
    def open_rows(self) -> int:
        """How many of the first rows are shown at once; the others unfold."""
        return _FIRST if self.flipped and len(self.rows) > _LONG else len(self.rows)

    @property
    def too_large(self) -> bool:
        """Whether print leaves it out: pages of numbers, or columns that A4 has no room for."""
        return len(self.rows) > _PRINTED_ROWS or len(self.header) > _PRINTED_COLUMNS


@dataclass(frozen=True)
class Item:
    """A figure or table of the page. `image` is the PNG as text, `files` are links beside the page."""

    name: str
    kind: Literal["figure", "table"]
    number: int
    title: str
    caption: Markup
    files: list[str]
    image: str = ""
    table: Table | None = None

    @property
    def label(self) -> str:
        return f"{self.kind.capitalize()} {self.number}"


@dataclass(frozen=True)
class Section:
    """A question, what the tables say to it (empty where they do not), and the figures and tables that show it."""

    question: str
    anchor: str
    answer: str
    items: list[Item]


def write_report(results: Path, template: Path, shown: Sequence[Shown], gates: Sequence[Path], repository: Path, output: Path) -> None:
    """Make the page of a study.

    results: the folder `results/<scale>` with config.json, figures/, tables/ and benchmarks/. template: the folder of PAGE and
    INTRODUCTION. shown: the figures and tables, in order. gates: the files of the gates.

    Raises StudyError that names a caption which is not valid reStructuredText or a file that cannot be read.
    """
    config = _config(results / "config.json")
    jobs, unreadable = read_jobs(results / "benchmarks", {*config["methods"]})
    tables = {each.name: pd.read_csv(results / f"tables/{each.name}.csv") for each in shown if each.kind == "table"}
    sections = _sections(results, shown, answers(tables))
    names = {item.name for section in sections for item in section.items}
    write_page(
        template / PAGE,
        output,
        repository,
        config=config,
        config_text=yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True),
        introduction=caption_html((template / INTRODUCTION).read_text(encoding="utf-8"), template / INTRODUCTION),
        sections=sections,
        headline=headline(tables),
        arm_words=arm_words(tables),
        against_seq=against_seq(results / f"tables/{_COMPARED_WITH_SEQ}.csv") if _COMPARED_WITH_SEQ in names else {},
        gates=_gates(gates),
        costs=stage_costs(jobs),
        totals=stage_totals(jobs, read_training(results)),
        jobs=jobs,
        unreadable=unreadable,
        machine=machine(),
        origins=origins(results),
        out_of_date=out_of_date(results, repository),
    )


def caption_html(text: str, path: Path | str) -> Markup:
    """A caption as HTML; it can neither include files nor raw HTML. Raises StudyError that names the file of one with an error or a
    warning."""
    settings = {"halt_level": 2, "report_level": 5, "file_insertion_enabled": False, "raw_enabled": False, "traceback": True}
    try:
        parts = publish_parts(text, writer="html5", settings_overrides=settings)
    except SystemMessage as error:
        raise StudyError(f"{path}: {error}") from None
    return Markup(parts["body"])


def table_for_reading(path: Path) -> Table:
    """A table of the study in Markdown, turned on its side when that is narrower. Raises StudyError that names a file that is no table."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    header, _, *rows = [[text.strip() for text in line[1:-1].split("|")] for line in lines] if len(lines) > 1 else [[], []]
    if not header or any(len(row) != len(header) for row in rows):
        raise StudyError(f"{path}: not a Markdown table")
    flipped = len(header) > max(_MANY_COLUMNS, len(rows))
    if flipped:
        header, *rows = (list(column) for column in zip(header, *rows, strict=True))
    return Table(header, [[_cell(text) for text in row] for row in rows], flipped)


def against_seq(path: Path) -> dict[str, list[str]]:
    """From the CSV of the compared methods: the arms that keep surely more of Task 0 than `seq` where both know Task 1 equally well, those
    that keep surely less, those that cannot be told apart from it, those that never get there, and apart the floors, without Task 0.
    Surely: by the whole 95 % interval."""
    found: dict[str, list[str]] = {"more": [], "less": [], "no clear difference": [], "not reached": [], "floors": []}
    for row in pd.read_csv(path).to_dict("records"):
        if row["arm"] == "seq" or row["family"] != row["family"]:
            continue
        gain = Interval(*(row.get(f"matched_gain{end}", nan) for end in ("", "_low", "_high")))
        said = {"above": "more", "below": "less", "open": "no clear difference"}[side(gain, 0)]
        group = "floors" if never_had_task0(row["arm"]) else said if isfinite(gain.value) else "not reached"
        found[group].append(f"{row['arm']} ({gain.value:+.3f})" if isfinite(gain.value) else str(row["arm"]))
    return found


def _config(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise StudyError(f"{path}: not valid JSON ({error})") from None


def _gates(paths: Sequence[Path]) -> list[dict[str, Any]]:
    try:
        return read_gates(paths).to_dict("records") if paths else []
    except ValueError as error:
        raise StudyError(str(error)) from None


def _sections(results: Path, shown: Sequence[Shown], said: Mapping[str, str]) -> list[Section]:
    counted = {"figure": 0, "table": 0}
    sections = []
    for question in dict.fromkeys(each.question for each in shown):
        items = []
        for each in shown:
            if each.question == question:
                counted[each.kind] += 1
                items.append(_item(results, each, counted[each.kind]))
        anchor = re.sub(r"\W+", "-", question.lower()).strip("-")
        sections.append(Section(question, anchor, said.get(question, ""), items))
    return sections


def _item(results: Path, shown: Shown, number: int) -> Item:
    files = {suffix: f"{shown.kind}s/{shown.name}.{suffix}" for suffix in FORMATS[shown.kind]}
    picture = shown.kind == "figure"
    return Item(
        name=shown.name,
        kind=shown.kind,
        number=number,
        title=shown.title.rstrip("."),
        caption=caption_html(shown.caption, shown.path),
        files=list(files.values()),
        image=b64encode((results / files["png"]).read_bytes()).decode() if picture else "",
        table=None if picture else table_for_reading(results / files["md"]),
    )


def _cell(text: str) -> Cell:
    parts = _NUMBER.fullmatch(text)
    if parts:
        return Cell(parts[1], (parts[2] or "").replace(", ", ",\u00a0"), "number")
    return Cell(text, "", "long" if len(text) > _SHORT else "text")
