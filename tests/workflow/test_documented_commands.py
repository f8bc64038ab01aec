"""Commands as they stand in the documents can be pasted into bash and zsh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.study import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md", ROOT / "benchmarks/README.md"]


def commands(page: Path) -> list[str]:
    """The lines of its shell blocks without comments, and what looks like a call of pip or Snakemake between single backticks."""
    text = page.read_text()
    lines = [line for block in re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    inline = re.findall(r"(?<!`)`([^`\n]*\b(?:snakemake|pip) [^`\n]*)`(?!`)", text)
    return [re.split(r"(?:^|\s)#", line)[0] for line in (*lines, *inline)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_shell_would_expand_is_quoted(page: Path) -> None:
    """Where bash hands `seeds=[0]` on as it is, zsh says `no matches found`."""
    found = [command for command in commands(page) if re.search(r"[][*?]", re.sub(r"'[^']*'|\"[^\"]*\"", "", command))]
    assert found == []


def test_commands_are_found() -> None:
    assert any("'seeds=[0,1,2]'" in command for command in commands(ROOT / "README.md"))
    assert any(".[figures]" in command for command in commands(ROOT / "docs/what-reruns.md"))
