from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgetting.tables import TableError, read_table, write_table

SCHEMA = pa.schema([("arm", pa.string()), ("step", pa.int32()), ("value", pa.float64()), ("right", pa.bool_())])
FRAME = pd.DataFrame({"arm": ["seq", "ewc"], "step": [5, 150], "value": [0.5, float("nan")], "right": [True, False]})


def saved(path: Path, **types: pa.DataType) -> pa.Table:
    """The table of FRAME, some columns of another type."""
    write_table(FRAME, path, SCHEMA)
    table = pq.read_table(path)
    for name, kind in types.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    return table


@pytest.mark.parametrize(
    "types",
    [
        {"arm": pa.large_string()},  # pandas 3
        {"arm": pa.string_view()},  # polars
        {"arm": pa.dictionary(pa.int32(), pa.string())},  # a categorical column
        {"step": pa.int64()},
        {"step": pa.float64()},  # a column that had a gap on the way
        {"value": pa.float32()},
    ],
    ids=str,
)
def test_a_table_that_another_program_saved_again_is_taken(types: dict[str, pa.DataType], tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = saved(path, **types)
    try:
        pq.write_table(table.select(["value", "right", "step", "arm"]), path)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"pyarrow {pa.__version__} writes no such column: {error}")
    found = read_table(path, SCHEMA)
    pd.testing.assert_frame_equal(found, FRAME.astype({"step": "int32"}), check_dtype=True)
    assert list(read_table(path, SCHEMA, ["step"])) == ["step"]


def test_what_is_not_a_number_is_taken_in_a_narrower_column(tmp_path: Path) -> None:
    """polars writes NaN as it is, where pandas writes that there is no value."""
    path = tmp_path / "table.parquet"
    table = saved(path)
    narrow = pa.array([0.5, float("nan")], pa.float32(), from_pandas=False)
    assert narrow.null_count == 0
    pq.write_table(table.set_column(2, "value", narrow), path)
    np.testing.assert_array_equal(read_table(path, SCHEMA)["value"], [0.5, np.nan])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("step", pa.array([5.5, 150.0]), "column 'step' has the type double, expected int32"),
        ("step", pa.array([5, 2**40]), "column 'step' has the type int64, expected int32"),
        ("step", pa.array(["5", "150"]), "column 'step' has the type string, expected int32"),
        ("arm", pa.array([1, 2]), "column 'arm' has the type int64, expected string"),
    ],
)
def test_what_would_change_a_value_is_refused_by_column_and_types(name: str, values: pa.Array, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = saved(path)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), path)
    with pytest.raises(TableError) as error:
        read_table(path, SCHEMA)
    assert message in str(error.value) and str(path) in str(error.value)


def test_missing_and_extra_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = saved(path)
    pq.write_table(table.drop_columns(["arm"]).append_column("group", table["arm"]), path)
    with pytest.raises(TableError, match=r"missing columns \['arm'\], extra columns \['group'\]"):
        read_table(path, SCHEMA)
