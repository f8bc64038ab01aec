"""Whether two studies of the same config came out alike: `python tests/compare_studies.py OLD NEW`, two folders such as results/smoke.

Every Parquet table must hold the same values, but for metrics of time, and every file of weights the same bytes. What only one of them
has is told, too. Prints each difference; exit code 1 when there is one. Manifests, logs and pages are not compared.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

WALL_TIME = ("seconds", "tokens_per_second", "step_seconds", "preparation_seconds")
"""Metrics that no two runs share."""
COMPARED = ("*.parquet", "*.safetensors")


def differences(old: Path, new: Path) -> Iterator[str]:
    """One line for each file that differs or that only one of two studies has."""
    files = {side: {path.relative_to(side) for kind in COMPARED for path in side.rglob(kind)} for side in (old, new)}
    for side, other in ((old, new), (new, old)):
        yield from (f"{name}: only in {side}" for name in sorted(files[side] - files[other]))
    for name in sorted(files[old] & files[new]):
        difference = _table_difference if name.suffix == ".parquet" else _weights_difference
        if found := difference(old / name, new / name):
            yield f"{name}: {found}"


def _weights_difference(old: Path, new: Path) -> str:
    return "" if filecmp.cmp(old, new, shallow=False) else "other bytes"


def _table_difference(old: Path, new: Path) -> str:
    """What differs first; an empty string when nothing does."""
    try:
        pd.testing.assert_frame_equal(*(_without_wall_time(pd.read_parquet(path)) for path in (old, new)), check_exact=True)
    except AssertionError as error:
        return " ".join(str(error).split())[:200]
    return ""


def _without_wall_time(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame["metric"].isin(WALL_TIME)] if "metric" in frame else frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    given = parser.parse_args()
    found = list(differences(given.old, given.new))
    print("\n".join(found) or "no difference")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
