"""A sequence of tasks: the matrix R, and what is commonly read from it (docs/definitions.md).

R[i, j] is the accuracy on task j after stage i, both from 0: stage 0 is Task 0, and task 0 the persons of `task0_test`. The functions of R
take arrays (..., n, n), as many stages as tasks, so that bootstrap samples go through them like the matrix itself.

No library: those that know these numbers (Avalanche, CapyMOA, Mammoth) read them off their own training loop, differ in what they call
forgetting, and give none of the intervals, which are all that is long here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from forgetting.analysis.summary import combine_seeds
from forgetting.data.points import EARLY_STOP
from forgetting.intervals import TAILS, Floats, clustered_wilson, unit_bootstrap
from forgetting.schemas.facts import ACCURACY, FACTS
from forgetting.statistics import PROPORTION, RATIO
from forgetting.tables import read_table

ALONE = "alone"
TASK0 = "task0_test"
DRAWS = 2000


def average_accuracy(table: Floats) -> Floats:
    """mean_j R[K, j]: over all tasks, after the last."""
    return table[..., -1, :].mean(axis=-1)


def backward_transfer(table: Floats) -> Floats:
    """mean_{j<K} R[K, j] - R[j, j]: how the tasks before the last one changed since they were learned; NaN for one task."""
    return _mean(table[..., -1, :-1] - np.diagonal(table, axis1=-2, axis2=-1)[..., :-1])


def forward_transfer(table: Floats) -> Floats:
    """mean_{j>0} R[j - 1, j] - R[0, j]: what the tasks before taught of each; NaN for one task. The first term is 0 by definition."""
    before = np.diagonal(table, offset=1, axis1=-2, axis2=-1)
    return _mean(before - table[..., 0, 1:])


def forgetting(table: Floats) -> Floats:
    """(..., K): of each task but the last, max_{i<K} R[i, j] - R[K, j]."""
    return table[..., :-1, :-1].max(axis=-2) - table[..., -1, :-1] if table.shape[-1] > 1 else table[..., -1, :-1]


def mean_forgetting(table: Floats) -> Floats:
    """Mean of it over the tasks; NaN for one task."""
    return _mean(forgetting(table))


def intransigence(table: Floats, alone: Floats) -> Floats:
    """mean_{j>0} a_j - R[j, j], given (..., K) the accuracies a of tasks 1 ... K learned alone; NaN for one task."""
    return _mean(alone - np.diagonal(table, axis1=-2, axis2=-1)[..., 1:])


def _mean(values: Floats) -> Floats:
    """Over the last axis; NaN where it is empty."""
    return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


def read_answers(facts: Sequence[Path], tasks: Sequence[str]) -> pd.DataFrame:
    """SEQUENCE rows of the facts of all runs of a seed, given the tasks after Task 0 in order: those of the first and last evaluation."""
    splits = {name: place for place, name in enumerate([TASK0, *tasks])}
    return pd.concat([_ends_of_run(path, splits) for path in facts], ignore_index=True)


def _ends_of_run(path: Path, splits: dict[str, int]) -> pd.DataFrame:
    rows = read_table(path, FACTS, ["scale", "seed", "stage", "arm", "step", "unit", "split", ACCURACY])
    rows = rows[rows["split"].isin(list(splits)) & rows["step"].isin([0, rows["step"].max()])]
    number = splits[rows["stage"].iloc[0]]
    if rows["arm"].iloc[0] == ALONE:
        rows = rows[(rows["split"] == rows["stage"]) & (rows["step"] > 0)]
    elif number > 1:  # the end of the stage before is the start of this one
        rows = rows[rows["step"] > 0]
    rows = rows.assign(stage=np.where(rows["step"] > 0, number, 0), task=rows["split"].map(splits))
    keys = ["scale", "seed", "arm", "stage", "task", "split", "unit"]
    counted = rows.groupby(keys, sort=False)[ACCURACY].agg(right="sum", asked="size").reset_index()
    return counted.rename(columns={"split": "name"})


def task_names(answers: pd.DataFrame) -> list[str]:
    """The splits of all tasks by their place, Task 0 first."""
    return list(answers.drop_duplicates("task").sort_values("task")["name"])


def matrix_rows(answers: pd.DataFrame) -> pd.DataFrame:
    """R as rows seed, arm, stage, task, value, low, high, with intervals clustered by unit. The arm `alone` has one row a task."""
    rows = []
    for key, group in answers.groupby(["seed", "arm", "stage", "task"], sort=False):
        right, asked = group["right"].to_numpy(), group["asked"].to_numpy()
        values = np.concatenate([np.ones(right.sum()), np.zeros((asked - right).sum())])
        units = np.concatenate([np.repeat(group["unit"], right), np.repeat(group["unit"], asked - right)])
        rows.append((*key, *clustered_wilson(values, units)))
    return pd.DataFrame(rows, columns=["seed", "arm", "stage", "task", "value", "low", "high"])


class Sampled(NamedTuple):
    """A matrix R (n, n) and accuracies of tasks learned alone (n - 1,), and bootstrap samples of both (draws, ...) over the units of each
    task; a unit is drawn with all its answers at all stages."""

    table: Floats
    alone: Floats
    tables: Floats
    alones: Floats


def sampled(run: pd.DataFrame, alone: pd.DataFrame) -> Sampled:
    """The matrix of one run (a seed and an arm), given its SEQUENCE rows and those of the tasks learned alone in that seed."""
    size = int(run["task"].max()) + 1
    tables, alones = np.empty((DRAWS + 1, size, size)), np.empty((DRAWS + 1, size - 1))
    for task in range(size):
        mine, other = run[run["task"] == task], alone[alone["task"] == task]
        asked_in_both = sorted(set(mine["unit"]) & set(other["unit"])) if len(other) else sorted(set(mine["unit"]))
        units = sorted(set(mine["unit"]))
        weights = np.concatenate([np.ones((1, len(units))), unit_bootstrap(len(units), DRAWS, task)])
        tables[:, :, task] = _accuracies(mine, units, range(size), weights)
        if task:
            drawn = weights[:, np.isin(units, asked_in_both)]
            alones[:, task - 1] = _accuracies(other, asked_in_both, [task], drawn)[:, 0]
    return Sampled(tables[0], alones[0], tables[1:], alones[1:])


def _accuracies(rows: pd.DataFrame, units: Sequence[int], stages: Sequence[int], weights: Floats) -> Floats:
    """(samples, stages): share of right answers when each unit counts as often as `weights` (samples, units) says."""
    wide = rows.pivot(index="unit", columns="stage", values=["right", "asked"]).loc[list(units)]
    right, asked = (wide[column][list(stages)].to_numpy(dtype=float) for column in ("right", "asked"))
    with np.errstate(invalid="ignore"):  # a sample may have none of few units
        return (weights @ right) / (weights @ asked)


def sequence_summary(answers: pd.DataFrame) -> pd.DataFrame:
    """One row a seed and arm: average_accuracy, backward_transfer, forward_transfer, forgetting and intransigence, each with `_low` and
    `_high`, percentiles of the bootstrap."""
    rows = []
    for (seed, arm), run in answers[answers["arm"] != ALONE].groupby(["seed", "arm"], sort=False):
        found = sampled(run, _alone(answers, seed))
        row = {"seed": seed, "arm": arm}
        functions = {f.__name__: f for f in (average_accuracy, backward_transfer, forward_transfer)} | {"forgetting": mean_forgetting}
        numbers = {name: (function(found.table), function(found.tables)) for name, function in functions.items()}
        numbers["intransigence"] = intransigence(found.table, found.alone), intransigence(found.tables, found.alones)
        for name, (value, samples) in numbers.items():
            low, high = np.nanquantile(samples, TAILS)
            if low == high:  # no unit differs from another, of which resampling says nothing
                low = high = np.nan
            row |= {name: float(value), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _alone(answers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The tasks learned alone: the runs `alone`, and Task 1 of `seq`, which nothing comes before."""
    of_seed = answers[answers["seed"] == seed]
    first = of_seed[(of_seed["arm"] == "seq") & (of_seed["stage"] == 1) & (of_seed["task"] == 1)]
    return pd.concat([first, of_seed[of_seed["arm"] == ALONE]], ignore_index=True)


VALUES = ("average_accuracy", "backward_transfer", "forward_transfer", "forgetting", "intransigence")


def sequence_table(sequence: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, combined over seeds."""
    return combine_seeds(sequence_summary(sequence), ["arm"], VALUES)


def steps_to_learn(metrics: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Plasticity: columns seed, arm, task (1 ... K), value, low, high: the step at which the arm learned the task, NaN where it never did.

    metrics: METRICS of all runs, whose stage is the name of the task. names: as of `task_names`.
    """
    rows = metrics[metrics["metric"] == EARLY_STOP]
    places = {name: place for place, name in enumerate(names)}
    rows = rows.assign(task=rows["stage"].map(places), low=np.nan, high=np.nan)
    return rows[["seed", "arm", "task", "value", "low", "high"]].reset_index(drop=True)


def with_first_task_alone(steps: pd.DataFrame) -> pd.DataFrame:
    """`steps_to_learn` with the first task of ALONE, which comes straight after Task 0 in any case: that of `seq`."""
    first = steps[(steps["arm"] == "seq") & (steps["task"] == 1)]
    return pd.concat([steps, first.assign(arm=ALONE)], ignore_index=True)


def steps_table(sequence: pd.DataFrame, sequence_metrics: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, over seeds: `task <k>`, the steps until it had learned each task; NaN where a seed never did. Frames: as of the
    figure `sequence_steps`."""
    names = task_names(sequence)
    rows = with_first_task_alone(steps_to_learn(pd.concat([sequence_metrics, alone]), names))
    rows = rows.dropna(subset="task").drop_duplicates(["seed", "arm", "task"])
    wide = rows.assign(task="task " + rows["task"].astype(int).astype(str)).pivot(index=["seed", "arm"], columns="task", values="value")
    order = {arm: place for place, arm in enumerate(dict.fromkeys([*sequence_metrics["arm"], ALONE]))}
    runs = wide.reset_index().sort_values("arm", key=lambda arms: arms.map(order), kind="stable")
    return combine_seeds(runs, ["arm"], [f"task {place}" for place in range(1, len(names))], RATIO)


def recovery_rows(recovery: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """What the probes of a sequence found: columns seed, arm, start, stage (NaN where nothing was learned), task, name (`dropped`, as it
    was, `recovered`, after one epoch, or `shuffled`, after one with shuffled answers), value, low, high.

    recovery: RECOVERY of the probes of arms, or of the controls. names: as of `task_names`.
    """
    places = {name: place for place, name in enumerate(names)}
    of_task = (recovery["metric"] == ACCURACY) & (recovery["kind"] == "all") & recovery["split"].isin(list(names))
    before, shuffled = np.isclose(recovery["epochs"], 0), recovery["training"] == "shuffled"
    rows = recovery[of_task & (np.isclose(recovery["epochs"], 1) | (before & ~shuffled))]
    rows = rows.assign(
        stage=rows["start"].map(places),
        task=rows["split"].map(places),
        name=np.where(rows["training"] == "shuffled", "shuffled", np.where(rows["epochs"] == 0, "dropped", "recovered")),
    )
    return rows[["seed", "arm", "start", "stage", "task", "name", "value", "low", "high"]].reset_index(drop=True)


def recovery_table(sequence: pd.DataFrame, sequence_recovery: pd.DataFrame, sequence_controls: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, task and earlier task (`after`, `task`): dropped, recovered and shuffled (one epoch with shuffled answers), and what
    the epoch makes of models that never learned the task: pretrained, random, and (of later tasks) after_task0."""
    names = task_names(sequence)
    wide = _wide(recovery_rows(sequence_recovery, names), ["seed", "arm", "stage", "task"], "name")
    found = recovery_rows(sequence_controls, names)
    found = found[found["name"] == "recovered"].assign(name=found["start"].replace({"task1": "after_task0"}))
    table = wide.merge(_wide(found, ["seed", "task"], "name"), on=["seed", "task"], how="left")
    table["after"], table["task"] = table["stage"].map(_title), table["task"].map(_title)
    values = [name for name in ("dropped", "recovered", "shuffled", "pretrained", "random", "after_task0") if name in table]
    return combine_seeds(table, ["arm", "after", "task"], values, PROPORTION)


def matrix_table(sequence: pd.DataFrame) -> pd.DataFrame:
    """One row an arm and stage: the accuracy on every task."""
    rows = matrix_rows(sequence[sequence["arm"] != ALONE])
    wide = _wide(rows.assign(name=rows["task"].map(lambda task: f"on task {task}")), ["seed", "arm", "stage"], "name")
    wide["after"] = wide["stage"].map(_title)
    values = [f"on task {task}" for task in sorted(rows["task"].unique())]
    return combine_seeds(wide, ["arm", "after"], values, PROPORTION)


def _title(task: float) -> str:
    return f"Task {task:.0f}"


def _wide(rows: pd.DataFrame, keys: list[str], by: str) -> pd.DataFrame:
    """Columns `keys`, and for each value of column `by` one of its name with its interval (`_low`, `_high`)."""
    parts = []
    for name, group in rows.groupby(by, sort=False):
        ends = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        parts.append(group.set_index(keys)[list(ends)].rename(columns=ends))
    return pd.concat(parts, axis=1).reset_index()
