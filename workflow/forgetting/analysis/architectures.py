"""How an architecture forgets: collapse, return and spurious share of `seq`, from the tables of one study."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forgetting.analysis.curves import Point, at_step, trough
from forgetting.analysis.spurious import probe_points, recovery_summary
from forgetting.analysis.summary import combine_seeds
from forgetting.data.points import END, NO_TASK0, TROUGH, curve
from forgetting.intervals import Interval

ARM = "seq"
ARMS = (ARM, f"{ARM}{NO_TASK0}")
"""The arms of a variant; the second is the floor of the first."""


def architectures_table(architectures: pd.DataFrame) -> pd.DataFrame:
    """One row a variant, by size: each metric of ARCHITECTURES over seeds."""
    model = ["variant", "architecture", "layers", "width", "parameters"]
    wide = architectures[["seed", *model]].drop_duplicates().sort_values(["parameters", "variant"])
    metrics = list(dict.fromkeys(architectures["metric"]))
    for metric in metrics:
        columns = {"value": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
        rows = architectures.loc[architectures["metric"] == metric, ["seed", "variant", *columns]]
        wide = wide.merge(rows.rename(columns=columns), on=["seed", "variant"], how="left")
    return combine_seeds(wide, model, metrics)


def variant_numbers(metrics: pd.DataFrame, recovery: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Columns seed, parameters, metric, value, low, high; the metrics of ARCHITECTURES.

    METRICS of the Task 1 runs, RECOVERY and RECOVERY_FACTS, all of ARMS.
    """
    points = probe_points(metrics, recovery)
    shares = recovery_summary(facts, points)
    rows = []
    for seed, runs in metrics.groupby("seed"):
        own, without = (runs[runs["arm"] == arm] for arm in ARMS)
        parameters = int(own.loc[own["metric"] == "trained_parameters", "value"].iloc[-1])
        found = shares[(shares["seed"] == seed) & (shares["arm"] == ARM)].set_index("point")
        numbers = {**dict(_accuracies(own)), "control": _peak(without), **dict(_shares(found))}
        rows += [(int(str(seed)), parameters, metric, *interval) for metric, interval in numbers.items()]
    return pd.DataFrame(rows, columns=["seed", "parameters", "metric", "value", "low", "high"])


def _accuracies(run: pd.DataFrame) -> Iterator[tuple[str, Interval]]:
    task0 = curve(run, "task0_test")
    yield "before", _interval(at_step(task0, 0))
    yield "trough", _interval(trough(task0))
    yield "peak", _peak(run)
    yield "task1_final", Interval(*curve(run, "task1").iloc[-1][["value", "low", "high"]])


def _peak(run: pd.DataFrame) -> Interval:
    """The highest Task 0 accuracy from the trough on."""
    task0 = curve(run, "task0_test")
    later = task0[task0["step"] >= trough(task0).step]
    return Interval(*later.loc[later["value"].idxmax(), ["value", "low", "high"]])


def _shares(found: pd.DataFrame) -> Iterator[tuple[str, Interval]]:
    for point in (TROUGH, END):
        for share in ("spurious_share", "floor_share"):
            ends = (float(found.loc[point, f"{share}{end}"]) if point in found.index else np.nan for end in ("", "_low", "_high"))
            yield f"{share}_{point}", Interval(*ends)


def _interval(point: Point) -> Interval:
    return Interval(point.value, point.low, point.high)
