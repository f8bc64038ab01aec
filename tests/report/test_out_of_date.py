from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from forgetting import tables
from forgetting.errors import StudyError
from forgetting.pipeline.command import made_by
from forgetting.report.out_of_date import out_of_date

SCHEMA = pa.schema([("value", pa.int64())])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scripts, each with a config and a table that its job wrote."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        script, config = Path(f"workflow/scripts/{name}.py"), Path(f"results/laptop/seed0/{name}/config.json")
        for path in (script, config):
            path.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import forgetting.intervals\n")
        config.write_text("{}")
        monkeypatch.setattr(tables, "MADE_BY", made_by([str(script), "--config", str(config), "--output", "x"]))
        tables.write_table(pd.DataFrame({"value": [1]}), config.with_name("table.parquet"), SCHEMA)
    return tmp_path


def said(repository: Path) -> list[str]:
    return out_of_date(repository / "results/laptop", repository)


def test_nothing_is_said_of_what_is_as_it_was(repository: Path) -> None:
    assert said(repository) == []
    assert made_by(["workflow/scripts/one.py", "--results", "x"]) == {}


def test_a_config_that_is_piped_in_is_left_for_the_script(repository: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"{}")
    assert made_by(["workflow/scripts/one.py", "--config", f"/dev/fd/{read}"]) == {}
    assert os.read(read, 10) == b"{}"


def test_changed_code_and_config_are_named_with_the_table(repository: Path) -> None:
    (repository / "workflow/scripts/one.py").write_text("import forgetting.intervals  # better\n")
    assert said(repository) == ["workflow/scripts/one.py has changed: seed0/one/table.parquet"]
    (repository / "results/laptop/seed0/two/config.json").write_text("{} ")
    (repository / "results/laptop/seed0/one/config.json").unlink()
    assert said(repository) == [
        "workflow/scripts/one.py has changed: seed0/one/table.parquet",
        "results/laptop/seed0/one/config.json is no longer there: seed0/one/table.parquet",
        "results/laptop/seed0/two/config.json has changed: seed0/two/table.parquet",
    ]


def test_a_change_that_concerns_many_tables_is_one_line(repository: Path) -> None:
    first = repository / "results/laptop/seed0/one/table.parquet"
    for name in "abcd":
        (first.parent / f"{name}.parquet").write_bytes(first.read_bytes())
    (repository / "workflow/scripts/one.py").write_text("import forgetting.intervals  # better\n")
    tables = ", ".join(f"seed0/one/{name}.parquet" for name in "abc")
    assert said(repository) == [f"workflow/scripts/one.py has changed: {tables} and 2 more"]


def test_what_a_script_imports_is_its_code(repository: Path) -> None:
    def code(name: str) -> str:
        return made_by([f"workflow/scripts/{name}.py", "--config", "results/laptop/seed0/one/config.json"])["code"]

    before = code("one")
    assert before == code("two")
    Path("workflow/scripts/two.py").write_text("import forgetting.statistics\n")
    assert code("one") == before != code("two")


def test_a_table_saved_again_elsewhere_says_nothing_and_a_broken_one_is_named(repository: Path) -> None:
    table = repository / "results/laptop/seed0/one/table.parquet"
    pd.DataFrame({"value": [1]}).to_parquet(table)
    (repository / "workflow/scripts/one.py").unlink()
    assert said(repository) == []
    table.write_bytes(b"")
    with pytest.raises(StudyError, match=str(table)):
        said(repository)
