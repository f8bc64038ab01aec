"""Persons: unique names, six attributes, disjoint groups."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES, HALVES, PRETRAINED_GROUPS, Groups, Pools
from forgetting.errors import StudyError
from forgetting.schemas.people import PEOPLE
from forgetting.tables import read_table

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
FIRST_BIRTH_YEAR = 1900
DAYS_PER_MONTH = 28
NAME_PARTS = ("first_names", "middle_names", "last_names")
DRAWN = ("birthday", "birth_city", "university", "major", "company_name")
"""The attributes that are drawn; a company gives its city."""
WHOLE = "all"
"""The half of persons whose values are of both."""


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

    def half(self, attribute: str, half: str) -> np.ndarray:
        """Indices of the values of a drawn attribute that are in one of HALVES, ascending.

        Birthdays are halved by month, so that the first token of an answer tells the half, companies by city, so that those of the two
        halves are in other cities. Raises ResourceError where all companies are in one city.
        """
        count = len(self.values[attribute])
        if attribute == "birthday":
            in_first = np.arange(count) // DAYS_PER_MONTH % len(MONTHS) < len(MONTHS) // 2
        elif attribute == "company_name":
            in_first = self.city_of_company < self._cities_of_first_half()
        else:
            in_first = np.arange(count) < count // 2
        return np.flatnonzero(in_first == (half == HALVES[0]))

    def _cities_of_first_half(self) -> int:
        """How many cities, in their order, have as near to half of the companies as whole cities can."""
        companies = np.cumsum(np.bincount(self.city_of_company))[:-1]
        if not len(companies):
            raise ResourceError("companies.csv: all companies in use are in one city, so they cannot be halved; raise data.pools.companies")
        return 1 + int(np.abs(companies - len(self.city_of_company) / 2).argmin())


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


def draw_people(groups: Groups, tables: ValueTables, seed: int, half_of: np.ndarray | None = None) -> People:
    """Draw persons with unique full names; groups follow one another in the order of `Groups.sizes`.

    Person i depends on the seed and the pools alone, not on how many persons are drawn: each candidate takes one row of uniform
    doubles, and a
    candidate whose name was taken by an earlier one is dropped. half_of: (n,) one of HALVES, of whose values a person is made, or WHOLE;
    None: all are WHOLE. It changes no name and nobody else, and takes no other draw.
    """
    count = groups.total
    sizes = np.array([len(pool) for pool in tables.names])
    ranges = np.concatenate([sizes, [len(tables.values[name]) for name in DRAWN]])
    generator = np.random.Generator(np.random.PCG64([seed, 0]))
    draws = np.empty((0, len(ranges)))
    kept = np.empty(0, dtype=np.int64)
    while len(kept) < count:
        draws = np.concatenate([draws, generator.random((max(1024, count - len(kept)), len(ranges)))])
        candidates = (draws * ranges).astype(np.int64)
        name_codes = np.ravel_multi_index(tuple(candidates[:, :3].T), tuple(sizes))
        kept = np.sort(np.unique(name_codes, return_index=True)[1])
    chosen = candidates[kept[:count]]
    if half_of is not None:
        _move_into_halves(chosen[:, 3:], draws[kept[:count], 3:], half_of, tables)
    attributes = np.column_stack([chosen[:, 3:], tables.city_of_company[chosen[:, 7]]])
    return People(chosen[:, :3], attributes, group_names(groups))


def _move_into_halves(values: np.ndarray, draws: np.ndarray, half_of: np.ndarray, tables: ValueTables) -> None:
    """Choose the values (n, 5) of persons of a half anew, in place, by the same uniform `draws`."""
    for half in HALVES:
        persons = np.flatnonzero(half_of == half)
        for column, attribute in enumerate(DRAWN):
            there = tables.half(attribute, half)
            values[persons, column] = there[(draws[persons, column] * len(there)).astype(np.int64)]


def group_names(groups: Groups) -> np.ndarray:
    """(n,) the group of each person."""
    return np.repeat(list(groups.sizes), list(groups.sizes.values()))


def halves(groups: Groups, task1_half: str = WHOLE) -> np.ndarray:
    """(n,) the half of each person: of pretrained ones A and B in turn within each group, of `task1` the one given, of others WHOLE."""
    found, names = np.full(groups.total, WHOLE, dtype=object), group_names(groups)
    for name in PRETRAINED_GROUPS:
        members = np.flatnonzero(names == name)
        found[members] = np.resize(HALVES, len(members))
    found[names == "task1"] = task1_half
    return found


def held_out_names(data: Path, learned: Sequence[str] = ()) -> frozenset[str]:
    """What no buffer of a method may hold: the full names of all persons but those of `task0_train` and of the groups `learned` since, from
    the data in this folder."""
    people = read_table(data / "people.parquet", PEOPLE, ["group", "full_name"])
    return frozenset(people.loc[~people["group"].isin(["task0_train", *learned]), "full_name"])
