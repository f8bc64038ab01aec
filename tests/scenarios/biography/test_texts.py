from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.scenarios.biography.texts import Biographies
from forgetting.tables import TableError


@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_a_truncated_file_is_named(tiny_data: Path, tmp_path: Path, keep: float) -> None:
    content = (tiny_data / "biographies.arrow").read_bytes()
    (tmp_path / "biographies.arrow").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(TableError, match=r"biographies\.arrow"):
        Biographies.load(tmp_path / "biographies.arrow")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"biographies\.arrow"):
        Biographies.load(tmp_path / "biographies.arrow")
