"""Whether two studies of the same config came out alike: `python tests/compare_studies.py OLD NEW`, two folders such as results/smoke.

Every Parquet table must hold the same values, but for metrics of time, and every file of weights the same bytes. What only one of them
has is told, too. Prints each difference; exit code 1 when there is one. Manifests, logs and pages are not compared.

What was only renamed since the old study is told by options: `--columns group=split --files qa.parquet=items.parquet` and so on.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

WALL_TIME = ("seconds", "tokens_per_second", "step_seconds", "preparation_seconds")
"""Metrics that no two runs share."""
COMPARED = ("*.parquet", "*.safetensors")


@dataclass(frozen=True)
class Renames:
    """What the old study calls by other names (old to new): files, columns (where the new table has the new one) and texts in tables.

    added: columns that the new study alone has.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    added: frozenset[str] = frozenset()

    def applied(self, old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both tables in the names of the new study, without its added columns, and in one order of columns."""
        new = new.drop(columns=[name for name in new if name in self.added and name not in old])
        old = old.rename(columns={name: other for name, other in self.columns.items() if other in new and name not in new})
        for name in old.select_dtypes(["object", "string"]) if self.values else []:
            old = old.assign(**{name: old[name].map(lambda value: self.values.get(value, value) if isinstance(value, str) else value)})
        return old, new[[name for name in old if name in new] + [name for name in new if name not in old]]


def differences(old: Path, new: Path, renames: Renames = Renames()) -> Iterator[str]:
    """One line for each file that differs or that only one of two studies has."""
    found = {side: {path.relative_to(side): path for kind in COMPARED for path in side.rglob(kind)} for side in (old, new)}
    found[old] = {name.with_name(renames.files.get(name.name, name.name)): path for name, path in found[old].items()}
    for side, other in ((old, new), (new, old)):
        yield from (f"{name}: only in {side}" for name in sorted(set(found[side]) - set(found[other])))
    for name in sorted(set(found[old]) & set(found[new])):
        pair = found[old][name], found[new][name]
        difference = _table_difference(*pair, renames) if name.suffix == ".parquet" else _weights_difference(*pair)
        if difference:
            yield f"{name}: {difference}"


def _weights_difference(old: Path, new: Path) -> str:
    return "" if filecmp.cmp(old, new, shallow=False) else "other bytes"


def _table_difference(old: Path, new: Path, renames: Renames) -> str:
    """What differs first; an empty string when nothing does."""
    both = renames.applied(pd.read_parquet(old), pd.read_parquet(new))
    try:
        pd.testing.assert_frame_equal(*map(_without_wall_time, both), check_exact=True)
    except AssertionError as error:
        return " ".join(str(error).split())[:200]
    return ""


def _without_wall_time(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame["metric"].isin(WALL_TIME)] if "metric" in frame else frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    for renamed in ("files", "columns", "values"):
        parser.add_argument(f"--{renamed}", nargs="+", default=[], metavar="OLD=NEW", help=f"{renamed} with another name since")
    parser.add_argument("--added", nargs="+", default=[], help="columns that are new")
    given = parser.parse_args()
    files, columns, values = (dict(pair.split("=") for pair in pairs) for pairs in (given.files, given.columns, given.values))
    found = list(differences(given.old, given.new, Renames(files, columns, values, frozenset(given.added))))
    print("\n".join(found) or "no difference")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
