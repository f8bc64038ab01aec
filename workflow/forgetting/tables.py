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
_START = [("start", pa.string()), ("training", pa.string()), ("units", pa.int32()), ("checkpoint", pa.int32()), ("epochs", pa.float64())]
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
"""As METRICS; `start` is task1, pretrained or random, `checkpoint` the Task 1 step recovered from, `step` the recovery steps taken, and
`epochs` the same in passes over `task0_train`, whatever is trained on. training: right (the questions of `task0_train`: the probe itself),
or a control of as many steps: shuffled (their answers shuffled between persons), reworded (asked in other words), dose (of some of these
persons), unseen (questions about persons that no stage saw), text (biographies of those). units: how many persons that is. Of the whole
job, group train: `start` and `training` are all, `units` 0, `checkpoint` -1, `step` 0, `epochs` those of all its probes."""
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
    + [("kind", pa.string()), ("step", pa.int32()), ("epochs", pa.float64()), ("alpha", pa.float64()), ("beta", pa.float64())]
    + [("task0_loss", pa.float64()), ("task1_loss", pa.float64()), ("mean_loss", pa.float64())]
    + [("task0_error", pa.float64()), ("task1_error", pa.float64()), ("in_plane", pa.float64())]
)
"""`kind` is grid (a point of the plane: losses are set), trajectory (the checkpoint of Task 1 at `step`, projected onto the plane), or
recovery_trough and recovery_end (weights after `epochs` of recovery from the checkpoint at `step`; 0 epochs: that checkpoint). `in_plane`
is the share of the norm of a displacement that lies in the plane, NaN where there is none: from the origin, in the recovery kinds from the
checkpoint recovered from. Of a grid point `step` is -1 and `epochs` NaN; losses of
the other kinds are NaN. alpha, beta: L2 distance from the origin (orthogonal axes) or units of the two displacements (axes: reference).
Losses: nats per answer token; `_error`: their standard error, as far as it comes from the choice of persons."""
WEIGHTS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("former", pa.string()), ("latter", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "chance", "chance_low", "chance_high", "other_layers")]
)
"""One number on the updates `former` and `latter` of one matrix. Updates: pretraining (its late part), task0, task1 (whole), task1_early
(to step 150), task1_late (from there to the end). layer: -1 embedding, 0..L-1 blocks, L output embedding. component: embedding, query,
key, value, attention_output, mlp_input, mlp_output, output_embedding. metric: mean_angle, weighted_angle, principal_angle (degrees);
cosine; relative_norm, stable_rank, rank (of the latter), former_rank. chance: the mean for a random latter update, of the same singular
values and with random left singular vectors; chance_low, chance_high: its middle 95 %. other_layers: the mean of value - chance with the
former update of the same component in every other layer. NaN where none applies."""
FEATURES = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("before", pa.string()), ("after", pa.string())]
    + [("layer", pa.int32()), ("group", pa.string()), ("attribute", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("chance", pa.float64())]
)
"""One number on the residual stream of one layer (0 = embedding output, i = after block i) at the last prompt token. before, after: the
checkpoints pretrained, task0, task1_early (step 150), task1_matched (early stop) and task1_end. metric of two checkpoints: relative_shift,
relative_shift_along, relative_shift_across (in standard deviations), shift_along_leading (share), subspace_angle (degrees), cka. Of one
(before = after): probe_accuracy, probe_ceiling, lens_lead, lens_vocabulary_lead (shares), lens_rank, lens_vocabulary_rank (1 is the top),
lens_depth (layers; filed under the last one). attribute: `all` pools the questions. value is NaN where the states do not vary (layer 0 when
every prompt ends in the same token); low and high (95 %, over persons) and chance are NaN where none applies."""
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

INTERPOLATION = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("segment", pa.string()), ("group", pa.string())]
    + [("metric", pa.string()), ("position", pa.float64()), ("value", pa.float64()), ("error", pa.float64())]
)
"""One number on a straight line in weight space. segment: task0_task1, task1_recovered, task0_recovered (from the first to the second;
recovered from the end of Task 1). metric: loss (nats per answer token) and exact_match (share) at `position`, from 0 to 1; barrier (highest
loss above that of the higher end) and barrier_above_line (largest excess over the straight line between the losses of the ends), nats per
answer token, with the position of the peak (NaN where there is no barrier: value 0). error: standard error over persons, NaN where none
applies."""

_POINT = [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("point", pa.string()), ("step", pa.int32())]
COMMON_SHIFT = pa.schema(
    _POINT
    + [("attribute", pa.string()), ("space", pa.string()), ("grouping", pa.string()), ("removed", pa.string()), ("metric", pa.string())]
    + [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]
    + [("chance", pa.float64()), ("chance_low", pa.float64()), ("chance_high", pa.float64())]
)
"""How `task0_test` answers change from the model after Task 0 to a Task 1 checkpoint. point: early (step 150), matched, end. space: logits
(centred over the vocabulary) or residual_stream (before the final norm). grouping: the common part is a mean by attribute and position in
the answer (attribute_position) or over all answer tokens (one_shift), of other persons in either case. removed: nothing (the checkpoint
as it is), everything (theta*; in the residual stream its states, read by the checkpoint's head), common, rest. metric: exact_match and
first_token_hard after the removal; restored_share, the part of the exact match lost since theta* that comes back with the common part
removed; common_share, of the squared change; squared_change, its mean an answer token (squared logits summed over the vocabulary, or
squared L2 length). low, high: 95 % over persons. chance (of common_share): mean and 95 % range when each person's change has a random
sign; NaN where none applies."""
COMMON_SHIFT_REPAIR = pa.schema(
    _POINT
    + [("attribute", pa.string()), ("space", pa.string()), ("grouping", pa.string()), ("unit", pa.string()), ("known", pa.int32())]
    + [("metric", pa.string()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("draws", pa.int32())]
)
"""`task0_test` answers after subtracting the mean change of `known` facts or persons (`unit`; a person brings all six facts) of
`task0_train`. value: mean over `draws` random choices of them; low, high: 95 % for a single choice and resampled persons. Other columns as
in COMMON_SHIFT. RECOVERY has the recovery by training under the same seed, arm, attribute and metric, at checkpoint = step (start task1,
epochs 1, group task0_test)."""
RECALL = pa.schema(_POINT + [("form", pa.string())] + _METRIC)
"""Facts asked in other forms. point: task0 (step 0), early, matched, end. form: question; biography (the value in a sentence about the
person; its tokens without an end token); in_context_1 to in_context_3 (the question after so many solved ones of other persons);
among_values (the question, of fewer persons, answered by the likeliest value of its attribute), which has two metrics of its own:
own_pool_rank, the rank of the right value (1 is the top), and own_pool_percentile, the share of the other values that are likelier.
Facts of `control` persons were never in a biography: the floor."""
DRIFT = pa.schema(_POINT + _METRIC)
"""How far a checkpoint's predictions are from those of theta* on questions of a group. metric: kl_from_theta_star = KL(theta* ||
checkpoint), kl_to_theta_star = KL(checkpoint || theta*), nats, means over answer tokens; n: answer tokens; low, high: 95 % over persons."""
GRADIENTS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("step", pa.int32())]
    + [("part", pa.string()), ("layer", pa.int32()), ("comparison", pa.string()), ("value", pa.float64()), ("n", pa.int64())]
)
"""Cosine of two gradients at a checkpoint of Task 1 (step 0: the end of Task 0), each of the mean loss of n questions. comparison:
task0_task1 (Task 0 training questions and those of Task 1), task0_shuffled (the latter with the answers of other persons: the floor),
task0_halves, task1_halves (other persons of the same task: the ceiling). part: all weights, blocks (all of them), embedding, block,
output_embedding; layer: 0 the embedding, 1..L the blocks, L+1 the output embedding, -1 for all and blocks. NaN where a gradient is zero."""
THEORY = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("after", pa.string()), ("group", pa.string())]
    + [("layer", pa.int32()), ("component", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "chance", "chance_low", "chance_high")]
)
"""One number on what Task 1 up to the checkpoint `after` (task1_early, task1_matched, task1_end) did to one layer since the end of Task 0,
at the last prompt token. component: a linear map of block `layer` (1 is the first; components as in WEIGHTS), or stream, the residual
stream after block `layer` (0: the embedding). Metrics of a map, all shares of a squared length: update_on_leading_inputs, input_energy,
mean_shift_along, single_shifts_along. Of the stream: these two shares and own_mean_shift_along, own_single_shifts_along; shift_norm,
own_norm, inherited_norm, shift_bound, bound_if_frozen (lengths; `layer` of the last one is the number of frozen layers);
relative_shift_norm (standard deviations); depth_correlation, relative_depth_correlation (filed under the last layer). A map that was not
updated has no rows, a stream that did not move no shares. low, high: 95 %, over persons. chance, chance_low, chance_high: a random
update of the same singular values, mean and middle 95 %. NaN where none applies."""
THEORY_VERDICTS = pa.schema(
    [("scale", pa.string()), ("arm", pa.string()), ("after", pa.string()), ("proposition", pa.int32()), ("statistic", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high", "chance")]
    + [("supported", pa.string()), ("rule", pa.string())]
)
"""Whether the data support a proposition of the paper (1, 2, 3), one row an arm, checkpoint and statistic; `arm` is freeze for what is
fitted to all freeze arms. supported: yes, no, undecided or not tested, by
`rule`, and of one seed `in this run:` above, below or open. low, high: 95 %, over seeds, or of one seed over layers or persons."""
POSITIONS = pa.schema(
    [("scale", pa.string()), ("seed", pa.int32()), ("arm", pa.string()), ("step", pa.int32()), ("position", pa.int32())]
    + _METRIC
    + [("chance", pa.float64())]
)
"""Answer tokens by attribute and place, each predicted after the right tokens before it, at each checkpoint of Task 1 (step 0: after
Task 0). position: 0 is the first answer token, -1 the end token of every answer, whatever its place. metric: token_hard, the share of the
n tokens that are the argmax; token_hard_after_right, the same where all earlier tokens of the answer were argmax, too (NaN with n = 0
where there is no such answer); token_soft, mean probability of the right token; first_wrong, the share of the n questions whose first
wrong token is here (over the positions they add up to 1 - exact match). low, high: 95 %, over persons. chance: the same share for always
the most frequent token of the training persons at that attribute and place (token_hard_after_right: on the same tokens as the model; NaN
for token_soft)."""


class TableError(StudyError):
    """A table that is missing, truncated or of another shape; the message names the file."""


class WriteError(StudyError):
    """A file that cannot be written; the message names it."""


@contextmanager
def writing(path: str | Path, *others: type[Exception]) -> Iterator[None]:
    """Raises WriteError that names `path` when the system refuses to write; `others`: what a library raises in place of OSError."""
    refusals: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except refusals as error:
        raise WriteError(
            f"{path}: cannot be written ({error}). Is the disk full, a quota reached, or the folder read-only? "
            "Mend that and run the same command again"
        ) from None


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves it there only when the block ends without an error.

    Raises WriteError that names `path` when the system refuses to write.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of a job that was killed; it may be a second name of a finished file
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
        raise TableError(f"{path}: no such file; run again what makes it") from None
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from None


def read_tables(paths: list[str] | list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of several tables of one schema, one after the other."""
    return pd.concat([read_table(path, schema, columns) for path in paths], ignore_index=True)
