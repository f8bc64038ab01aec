from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests import sections

from forgetting.config.biography import ATTRIBUTES, GROUPS
from forgetting.scenarios.biography.people import ResourceError, ValueTables, draw_people

POOLS = Path(__file__).parents[3] / "resources" / "pools"
MANY = sections.groups(task0_train=6000, task0_val=1000, task0_test=3000, task1=8000, control=2000)


@pytest.fixture(scope="module")
def tables() -> ValueTables:
    return ValueTables.read(POOLS, sections.pools())


def test_pools_have_the_stated_sizes_and_no_value_twice(tables: ValueTables) -> None:
    assert [len(pool) for pool in tables.names] == [400, 400, 1000]
    sizes = {name: len(values) for name, values in tables.values.items()}
    assert sizes | {"company_city": 0} == {
        "birthday": 200 * 12 * 28,
        "birth_city": 200,
        "university": 300,
        "major": 100,
        "company_name": 263,
        "company_city": 0,
    }
    for values in [*tables.names, *tables.values.values()]:
        assert len(set(values)) == len(values)


def test_names_are_unique_and_groups_disjoint(tables: ValueTables) -> None:
    frame = draw_people(MANY, tables, seed=3).frame(tables)
    assert frame["full_name"].is_unique
    assert frame["person"].tolist() == list(range(MANY.total))
    assert frame["group"].value_counts().to_dict() == {group: getattr(MANY, group) for group in GROUPS}


def test_names_are_unique_where_most_combinations_are_taken() -> None:
    few = sections.pools(first_names=4, middle_names=4, last_names=4)
    tables = ValueTables.read(POOLS, few)
    frame = draw_people(sections.groups(task0_train=8, task0_val=8, task0_test=8, task1=4, control=4, probe=4), tables, seed=0).frame(
        tables
    )
    assert frame["full_name"].is_unique


def test_a_small_study_is_a_prefix_of_a_large_one(tables: ValueTables) -> None:
    small = draw_people(sections.groups(task0_train=40, task0_val=10, task0_test=10, task1=30, control=10, probe=10), tables, seed=5)
    large = draw_people(MANY, tables, seed=5)
    assert np.array_equal(small.names, large.names[:110])
    assert np.array_equal(small.attributes, large.attributes[:110])


def test_seeds_give_different_persons(tables: ValueTables) -> None:
    assert not np.array_equal(draw_people(MANY, tables, 0).names, draw_people(MANY, tables, 1).names)


@pytest.mark.parametrize("attribute", ["birth_city", "university", "major", "company_name"])
def test_marginals_are_uniform(tables: ValueTables, attribute: str) -> None:
    codes = draw_people(MANY, tables, seed=0).attributes[:, ATTRIBUTES.index(attribute)]
    counts = np.bincount(codes, minlength=len(tables.values[attribute]))
    assert stats.chisquare(counts).pvalue > 1e-3


def test_company_city_is_a_function_of_the_company(tables: ValueTables) -> None:
    frame = draw_people(MANY, tables, seed=0).frame(tables)
    assert (frame.groupby("company_name")["company_city"].nunique() == 1).all()


def test_a_short_pool_is_named(tmp_path: Path) -> None:
    for file in POOLS.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "majors.txt").write_text("Physics\n")
    with pytest.raises(ResourceError, match=r"majors\.txt: 1 lines, but the config asks for 100"):
        ValueTables.read(tmp_path, sections.pools())
