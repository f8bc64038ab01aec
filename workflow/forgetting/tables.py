"""Parquet tables of the study: their schemas, and reading and writing that never leaves or accepts a half file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forgetting.errors import StudyError

_RUN = [("scale", pa.string()), ("seed", pa.int32()), ("stage", pa.string()), ("arm", pa.string()), ("step", pa.int32())]
_START = [("start", pa.string()), ("checkpoint", pa.int32()), ("epochs", pa.float64())]
_METRIC = [
    ("group", pa.string()),
    ("attribute", pa.string()),
    ("metric", pa.string()),
    ("value", pa.float64()),
    ("n", pa.int64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
]
_FACT = [
    ("person", pa.int32()),
    ("group", pa.string()),
    ("attribute", pa.string()),
    ("exact_match", pa.bool_()),
    ("first_token_hard", pa.bool_()),
    ("first_token_soft", pa.float32()),
    ("answer_nll", pa.float32()),
]

METRICS = pa.schema(_RUN + _METRIC)
"""One aggregated number with its interval [low, high] (95 %; NaN where none applies)."""
FACTS = pa.schema(_RUN + _FACT)
"""One question at one evaluation: whether and how well the model answered it."""
RECOVERY = pa.schema(_RUN + _START + _METRIC)
"""As METRICS; `start` is task1, pretrained, random or shuffled, `checkpoint` the Task 1 step recovered from,
`epochs` how much of `task0_train` has been seen, `step` the recovery steps taken."""
RECOVERY_FACTS = pa.schema(_RUN + _START + _FACT)
PEOPLE = pa.schema(
    [("person", pa.int32()), ("group", pa.string()), ("full_name", pa.string())]
    + [(name, pa.string()) for name in ("birthday", "birth_city", "university", "major", "company_name", "company_city")]
)
QUESTIONS = pa.schema(
    [("person", pa.int32()), ("group", pa.string()), ("attribute", pa.string()), ("prompt", pa.string()), ("answer", pa.string())]
    + [("prompt_ids", pa.list_(pa.int32())), ("answer_ids", pa.list_(pa.int32()))]
)
LANDSCAPE = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string())]
    + [("kind", pa.string()), ("step", pa.int32()), ("alpha", pa.float64()), ("beta", pa.float64())]
    + [("task0_loss", pa.float64()), ("task1_loss", pa.float64()), ("mean_loss", pa.float64()), ("in_plane", pa.float64())]
)
"""`kind` is grid (a point of the plane: losses are set) or trajectory (a checkpoint at `step` projected onto the plane:
`in_plane` is the share of its displacement's norm that lies in the plane, NaN at the origin; losses are NaN). `step` of a grid point is -1.
alpha, beta: L2 distance from the origin (orthogonal axes) or units of the two displacements (axes: reference). Losses: nats per answer
token."""
WEIGHTS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("former", pa.string()), ("latter", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string()), ("value", pa.float64()), ("chance", pa.float64())]
)
"""One number on the updates `former` and `latter` of one matrix. Updates: pretraining (its late part), task0, task1 (whole),
task1_early (to step
150), task1_late (from there to the end). layer: -1 embedding, 0..L-1 blocks, L output embedding. component: embedding, query, key, value,
attention_output, mlp_input, mlp_output, output_embedding. metric: mean_angle, weighted_angle, principal_angle (degrees); cosine;
relative_norm,
stable_rank, rank (of the latter), former_rank. chance: the value that independent Gaussian updates of the same ranks give, NaN where
none applies."""
FEATURES = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("before", pa.string()), ("after", pa.string())]
    + [("layer", pa.int32()), ("group", pa.string()), ("attribute", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("chance", pa.float64())]
)
"""One number on the residual stream of one layer (0 = embedding output, i = after block i) at the last prompt token. before, after: the
checkpoints pretrained, task0, task1_early (step 150) and task1_end. metric: relative_shift, shift_along_leading, subspace_angle
(degrees), cka;
and with before = after, since they concern one checkpoint, probe_accuracy and probe_ceiling. attribute: `all` pools the questions.
value is NaN
where the states do not vary (layer 0 when every prompt ends in the same token); chance is NaN where none applies."""
FEATURE_POINTS = pa.schema(
    [
        ("scale", pa.string()),
        ("seed", pa.int32()),
        ("arm", pa.string()),
        ("step", pa.int32()),
        ("layer", pa.int32()),
        ("group", pa.string()),
    ]
    + [("attribute", pa.string()), ("person", pa.int32()), ("leading_component", pa.float64()), ("mean_shift", pa.float64())]
)
"""Coordinates of single questions in the plane of the leading principal component (of the states after Task 0) and the mean shift."""

FISHER = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("layer", pa.int32()), ("component", pa.string())]
    + [("fisher", pa.float64()), ("weights", pa.int64())]
)
"""Mean diagonal Fisher information of Task 0 in each matrix after Task 0 (squared gradient of an answer's log-likelihood, nats squared per
weight squared, not normalised), and how many weights it has. layer, component: as in WEIGHTS."""
CHOICE = pa.schema(
    [("scale", pa.string()), ("family", pa.string()), ("arm", pa.string()), ("chosen", pa.bool_()), ("learned", pa.bool_())]
    + [("criterion", pa.float64()), ("reason", pa.string())]
)
"""Every arm of the comparison, one row each; in each family one is chosen, on `task0_val` alone. learned: Task 1 reached the early-stop
accuracy in every seed. criterion: mean over seeds of what the arms of the family were ranked by, which `reason` names."""


class TableError(StudyError):
    """A table that is missing, truncated or of another shape; the message names the file."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves it there only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_table(frame: pd.DataFrame, path: str | Path, schema: pa.Schema) -> None:
    """Write `frame` with exactly the columns of `schema`, atomically. Raises TableError that names a missing or extra column."""
    expected, given = set(schema.names), set(frame.columns)
    if expected != given:
        raise TableError(f"{path}: missing columns {sorted(expected - given)}, extra columns {sorted(given - expected)}")
    table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_table(path: str | Path, schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table written by `write_table`. Raises TableError when it is missing, unreadable, or of another schema."""
    try:
        file = pq.ParquetFile(path)
        found = file.schema_arrow
        if not found.remove_metadata().equals(schema):
            raise TableError(f"{path}: its columns are {found.names}, expected {schema.names}; delete it and run again")
        return file.read(columns=columns).to_pandas()
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from None


def read_tables(paths: list[str] | list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of several tables of one schema, one after the other."""
    return pd.concat([read_table(path, schema, columns) for path in paths], ignore_index=True)
