"""Persons: unique names, six attributes, disjoint groups."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES, Groups, Pools
from forgetting.errors import StudyError
from forgetting.schemas.people import PEOPLE
from forgetting.tables import read_table

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
FIRST_BIRTH_YEAR = 1900
DAYS_PER_MONTH = 28
NAME_PARTS = ("first_names", "middle_names", "last_names")


class ResourceError(StudyError):
    """A resource file that is missing or too short; the message names it."""


@dataclass(frozen=True)
class ValueTables:
    """The strings behind the integer columns of `People`: three name pools, and the values of each attribute."""

    names: tuple[list[str], list[str], list[str]]
    values: dict[str, list[str]]
    city_of_company: np.ndarray
    """(companies,) index into values["company_city"] for each index into values["company_name"]."""

    @classmethod
    def read(cls, folder: Path, pools: Pools) -> ValueTables:
        """The first lines of each pool file, as many as `pools` says. Raises ResourceError naming a short or missing file."""
        companies = _company_rows(folder / "companies.csv", pools.companies)
        company_cities = sorted({city for _, city in companies})
        years = range(FIRST_BIRTH_YEAR, FIRST_BIRTH_YEAR + pools.birth_years)
        values = {
            "birthday": [f"{month} {day}, {year}" for year in years for month in MONTHS for day in range(1, DAYS_PER_MONTH + 1)],
            "birth_city": _lines(folder / "cities.txt", pools.cities),
            "university": _lines(folder / "universities.txt", pools.universities),
            "major": _lines(folder / "majors.txt", pools.majors),
            "company_name": [name for name, _ in companies],
            "company_city": company_cities,
        }
        first, middle, last = (_lines(folder / f"{part}.txt", getattr(pools, part)) for part in NAME_PARTS)
        city_of_company = np.array([company_cities.index(city) for _, city in companies])
        return cls((first, middle, last), values, city_of_company)


def resource_text(path: Path) -> str:
    """The text of a resource file. Raises ResourceError that names a file that is missing or not in UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResourceError(f"{path}: no such file; restore it (git checkout resources)") from None
    except UnicodeDecodeError as error:
        raise ResourceError(f"{path}: not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def _lines(path: Path, count: int) -> list[str]:
    lines = resource_text(path).splitlines()
    if len(lines) < count:
        raise ResourceError(f"{path}: {len(lines)} lines, but the config asks for {count}; add some, or lower data.pools")
    first: dict[str, int] = {}
    for number, line in enumerate(lines[:count], 1):
        if not line.strip():
            raise ResourceError(f"{path}, line {number}: is empty; fill it or take it out")
        if first.setdefault(line, number) != number:
            raise ResourceError(f"{path}, line {number}: {line!r} is line {first[line]} too; every entry must differ")
    return lines[:count]


def _company_rows(path: Path, count: int) -> list[tuple[str, str]]:
    header, *rows = csv.reader(_lines(path, count + 1))
    if header != ["company_name", "company_city"]:
        raise ResourceError(f"{path}: the header is {header}, expected company_name,company_city")
    for number, row in enumerate(rows, 2):
        if len(row) != 2:
            raise ResourceError(f"{path}, line {number}: has {len(row)} columns, needs company_name,company_city")
    return [(name, city) for name, city in rows]


@dataclass(frozen=True)
class People:
    """n persons as integers. `names` (n, 3) and `attributes` (n, 6, in the order of ATTRIBUTES) index `ValueTables`; `group` (n,)
    holds names."""

    names: np.ndarray
    attributes: np.ndarray
    group: np.ndarray

    def frame(self, tables: ValueTables) -> pd.DataFrame:
        """One row a person with the strings: person, group, full_name and the six attributes (schema PEOPLE)."""
        first, middle, last = (np.array(pool)[self.names[:, part]] for part, pool in enumerate(tables.names))
        columns = {
            "person": np.arange(len(self.group)),
            "group": self.group,
            "full_name": [" ".join(parts) for parts in zip(first, middle, last, strict=True)],
        }
        return pd.DataFrame(columns | {name: np.array(tables.values[name])[self.attributes[:, i]] for i, name in enumerate(ATTRIBUTES)})


def draw_people(groups: Groups, tables: ValueTables, seed: int) -> People:
    """Draw persons with unique full names; groups follow one another in the order of `Groups.sizes`.

    Person i depends on the seed and the pools alone, not on how many persons are drawn: each candidate takes one row of uniform
    doubles, and a
    candidate whose name was taken by an earlier one is dropped.
    """
    count = groups.total
    sizes = np.array([len(pool) for pool in tables.names])
    drawn = ("birthday", "birth_city", "university", "major", "company_name")
    ranges = np.concatenate([sizes, [len(tables.values[name]) for name in drawn]])
    generator = np.random.Generator(np.random.PCG64([seed, 0]))
    candidates = np.empty((0, len(ranges)), dtype=np.int64)
    kept = np.empty(0, dtype=np.int64)
    while len(kept) < count:
        block = generator.random((max(1024, count - len(kept)), len(ranges)))
        candidates = np.concatenate([candidates, (block * ranges).astype(np.int64)])
        name_codes = np.ravel_multi_index(tuple(candidates[:, :3].T), tuple(sizes))
        kept = np.sort(np.unique(name_codes, return_index=True)[1])
    chosen = candidates[kept[:count]]
    attributes = np.column_stack([chosen[:, 3:], tables.city_of_company[chosen[:, 7]]])
    group = np.repeat(list(groups.sizes), list(groups.sizes.values()))
    return People(chosen[:, :3], attributes, group)


def held_out_names(data: Path, learned: Sequence[str] = ()) -> frozenset[str]:
    """What no buffer of a method may hold: the full names of all persons but those of `task0_train` and of the groups `learned` since, from
    the data in this folder."""
    people = read_table(data / "people.parquet", PEOPLE, ["group", "full_name"])
    return frozenset(people.loc[~people["group"].isin(["task0_train", *learned]), "full_name"])
