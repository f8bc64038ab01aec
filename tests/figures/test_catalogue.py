"""What a file of a figure says of itself, and the message where it says it wrongly."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from forgetting.errors import StudyError
from forgetting.figures.catalogue import ITEMS, read_catalogue

SHOWS = {"question": ITEMS[0], "in": "all", "inputs": {"metrics": ["main"]}}
DOCSTRING = '"""A title.\n\nA caption.\n"""\n'


def test_a_figure_is_read_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/numbers.py").write_text(f"{DOCSTRING}raise RuntimeError\nSHOWS = {SHOWS}\n")
    (tmp_path / "later.py").write_text(f"{DOCSTRING}import nowhere\nSHOWS = {SHOWS | {'order': 2}}\n")
    (tmp_path / "sooner.py").write_text(f"{DOCSTRING}SHOWS = {SHOWS | {'order': 1}}\n")
    (tmp_path / "helper.py").write_text("import nowhere\n")
    (tmp_path / ".#later.py").symlink_to("somebody@somewhere.1")  # of an editor with the file open
    found = read_catalogue(tmp_path)
    assert list(found) == ["fig_sooner", "fig_later", "table_numbers"]
    assert (found["fig_later"].title, found["fig_later"].caption) == ("A title.", "A caption.")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{DOCSTRING}SHOWS = {SHOWS | {'question': 'Why?'}}\n", "question"),
        (f"{DOCSTRING}SHOWS = {SHOWS | {'option': {}}}\n", "option: Extra inputs"),
        (f'"""A title alone."""\nSHOWS = {SHOWS}\n', "caption"),
        (f"{DOCSTRING}SHOWS = dict(question=1)\n", "literal"),
    ],
)
def test_a_wrong_one_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(StudyError, match=rf"wrong\.py: .*{named}"):
        read_catalogue(tmp_path)


@pytest.mark.parametrize("rule", read_catalogue())
def test_what_is_drawn_takes_exactly_what_is_said(rule: str) -> None:
    shown = read_catalogue()[rule]
    module = import_module(shown.module)
    wanted = inspect.signature(module.draw if shown.kind == "figure" else module.make).parameters
    assert set(wanted) == {*shown.inputs, *shown.options}
