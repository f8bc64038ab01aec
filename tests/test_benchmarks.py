"""The table of all speed checks: a row that fails keeps no other back, and all of them work at tiny sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.study import ROOT


@pytest.fixture
def speed_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import speed_table

    return speed_table


def test_a_row_that_fails_says_why(speed_table, tmp_path: Path) -> None:
    check = replace(next(check for check in speed_table.CHECKS if check.script == "data.py"), quick=["--config", "nowhere.yaml"])
    row = speed_table.run(check, True, 60, tmp_path)
    assert row[2].startswith("failed: FileNotFoundError") and "nowhere.yaml" in row[2]
    assert len(row) == len(speed_table.COLUMNS)


def test_a_row_that_takes_too_long_is_given_up(speed_table, tmp_path: Path) -> None:
    assert speed_table.run(speed_table.CHECKS[0], True, 0.1, tmp_path)[2] == "failed: not ready after 0 s"


def test_the_page_holds_the_table_and_a_finished_study(speed_table, tmp_path: Path) -> None:
    rows = [["data", "<= 60 s", "38 s", "", ""]]
    assert "| data | <= 60 s | 38 s |" in speed_table.page("On a GPU", rows, tmp_path, tmp_path)
    assert "Not run yet" in speed_table.page("On a GPU", rows, tmp_path, tmp_path)
    for name, text in (("report.html", ""), ("tables/gates.md", "| gate |"), ("figures/recovery.png", "picture")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    page = speed_table.page("On a GPU", rows, tmp_path, tmp_path)
    assert "Not run yet" not in page and "| gate |" in page and "images/gpu-small-recovery.png" in page
    assert (tmp_path / "gpu-small-recovery.png").read_text() == "picture"


def test_every_target_of_the_page_is_that_of_the_table(speed_table) -> None:
    text = (ROOT / "docs" / "results-gpu-small.md").read_text()
    assert not [check.what for check in speed_table.CHECKS if check.what.partition(",")[0] not in text]


@pytest.mark.slow
def test_every_check_works_at_tiny_sizes(tmp_path: Path) -> None:
    """Minutes on a busy machine. On a GPU, too, if there is one."""
    page = tmp_path / "page.md"
    command = ["bash", "benchmarks/gpu.sh", "--quick", "--output", str(page)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHON": sys.executable}, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert page.read_text().count("Trainer") == 2 and "failed" not in page.read_text()
