"""First view: what happens to the accuracies on Task 0 and Task 1 while Task 1 is learned (docs/definitions.md).

A *curve* is a frame with columns step, value, low, high: one accuracy over the steps of one run. Everything is computed from tables, and
nothing here needs torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from forgetting.data.points import EARLY_STEP, curve, matched_step, never_had_task0


class Point(NamedTuple):
    """A place on a curve."""

    step: float
    value: float
    low: float
    high: float


class ContinualSummary(NamedTuple):
    final: float
    forgetting: float
    backward_transfer: float


def at_step(rows: pd.DataFrame, step: float) -> Point:
    """The curve at `step`, linear between evaluations; NaN outside the curve or when `step` is NaN."""
    ends = (np.interp(step, rows["step"], rows[column], left=np.nan, right=np.nan) for column in ("value", "low", "high"))
    return Point(step, *(float(end) for end in ends))


def first_reaching(rows: pd.DataFrame, accuracy: float) -> float:
    """The step at which the curve first reaches `accuracy`, linear between evaluations; NaN if it never does."""
    return float(crossings(rows["step"], rows["value"].to_numpy()[None], accuracy)[0])


def crossings(steps: ArrayLike, values: ArrayLike, level: float) -> np.ndarray:
    """For each row of `values` (curves, steps): the interpolated step of the first value >= level, NaN where there is none."""
    step, value = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    reached = value >= level
    after = reached.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(value))
    rise = value[row, after] - value[row, before]
    part = np.divide(level - value[row, before], rise, out=np.zeros(len(value)), where=rise > 0)
    return np.where(reached.any(axis=1), step[before] + part * (step[after] - step[before]), np.nan)


def trough(rows: pd.DataFrame, within: float = EARLY_STEP) -> Point:
    """The lowest value at steps 1 to `within` (the first one, if several are equal)."""
    early = rows[(rows["step"] > 0) & (rows["step"] <= within)]
    if early.empty:
        raise ValueError(f"the curve has no evaluation at steps 1 to {within}")
    lowest = early.loc[early["value"].idxmin()]
    return Point(float(lowest["step"]), float(lowest["value"]), float(lowest["low"]), float(lowest["high"]))


def rebound(rows: pd.DataFrame, lowest: Point) -> float:
    """Spontaneous rebound: how far the curve rises above its trough at any later evaluation."""
    return float(rows.loc[rows["step"] >= lowest.step, "value"].max() - lowest.value)


def later_peak(rows: pd.DataFrame, after: float = EARLY_STEP) -> Point:
    """The highest value from step `after` on, where the early steps, in which a model may first learn a form, are over."""
    late = rows[rows["step"] >= min(after, rows["step"].max())]
    return Point(*late.loc[late["value"].idxmax(), ["step", "value", "low", "high"]].astype(float))


def area_above(rows: pd.DataFrame) -> float:
    """Area between the accuracy at step 0 and the curve over steps 0 to EARLY_STEP (or the last step), divided by the width.

    That is the mean loss of accuracy over the window: 0 when nothing is forgotten, the accuracy before when all is lost at once.
    """
    end = min(EARLY_STEP, float(rows["step"].iloc[-1]))
    if end <= 0:
        return 0.0
    steps = np.append(rows.loc[rows["step"] < end, "step"].to_numpy(dtype=float), end)
    values = np.interp(steps, rows["step"], rows["value"])
    return float(values[0] - np.trapezoid(values, steps) / end)


def continual_summary(accuracies: ArrayLike) -> ContinualSummary:
    """Summary of R[i, j], the accuracy on task j after stage i = 0..T (as many stages as tasks).

    final: mean over tasks after the last stage. forgetting: mean over the former tasks of (best over the stages before the last) - (last).
    backward transfer: mean over the former tasks of (last) - (right after its own stage). With two tasks it is minus the forgetting.
    """
    table = np.asarray(accuracies, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2:
        raise ValueError(f"accuracies must be a square table of two tasks or more, not of shape {table.shape}")
    last, former = table[-1], slice(0, len(table) - 1)
    forgetting = table[:-1, former].max(axis=0) - last[former]
    return ContinualSummary(float(last.mean()), float(forgetting.mean()), float((last - np.diag(table))[former].mean()))


def method_summary(metrics: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """One row a seed, arm and `early_stop` (False, True): learned (was Task 1 ever), columns as in `_run_summary`, seconds and
    trained_parameters (NaN where the metrics do not say).

    An early-stopped run is the beginning of the full one, so its row is read off the same curves. Where Task 1 was never learned there is
    nothing to stop, and the row with early stop holds NaN.
    """
    rows = []
    for (seed, arm), run in metrics.groupby(["seed", "arm"], sort=False):
        stop = matched_step(run)
        full = _run_summary(run, matched_accuracy)
        stopped = dict.fromkeys(full, np.nan) if np.isnan(stop) else _run_summary(run[run["step"] <= stop], matched_accuracy)
        seconds = run.loc[run["metric"] == "seconds"].sort_values("step")
        trained = run.loc[run["metric"] == "trained_parameters", "value"]
        for early, summary in ((False, full), (True, stopped)):
            within = seconds[seconds["step"] <= stop] if early else seconds
            spent = float(within["value"].iloc[-1]) if len(within) else np.nan
            cost = {"seconds": spent, "trained_parameters": trained.iloc[-1] if len(trained) else np.nan}
            rows.append({"seed": seed, "arm": arm, "early_stop": early, "learned": not np.isnan(stop), **summary, **cost})
    return pd.DataFrame(rows)


def accuracies_at(metrics: pd.DataFrame, step: float) -> pd.DataFrame:
    """Exact match of every run at one step, linear between evaluations: columns seed, arm, task0, task1 and their intervals (`_low`,
    `_high`), NaN where the run does not reach the step."""
    rows = []
    for (seed, arm), run in metrics.groupby(["seed", "arm"], sort=False):
        row = {"seed": seed, "arm": arm}
        for name, split in (("task0", "task0_test"), ("task1", "task1")):
            point = at_step(curve(run, split), step)
            row |= {name: point.value, f"{name}_low": point.low, f"{name}_high": point.high}
        rows.append(row)
    return pd.DataFrame(rows)


def collapse_by_rate(metrics: pd.DataFrame) -> pd.DataFrame:
    """Task 0 exact match before, at the trough and at the peak after it, one row a seed, arm and name, with the arm's learning rate."""
    rows = []
    for (seed, arm), run in metrics.groupby(["seed", "arm"], sort=False):
        rate = float(run.loc[run["metric"] == "learning_rate", "value"].max())
        learned = not np.isnan(matched_step(run))
        task0 = curve(run, "task0_test")
        lowest = trough(task0)
        later = task0[task0["step"] >= lowest.step]
        highest = later.loc[later["value"].idxmax()]
        for name, point in (("before", at_step(task0, 0)), ("trough", lowest), ("peak", at_step(task0, highest["step"]))):
            rows.append({"seed": seed, "arm": arm, "rate": rate, "learned": learned, "name": name, **point._asdict()})
    return pd.DataFrame(rows)


def _run_summary(run: pd.DataFrame, matched_accuracy: float) -> dict[str, float]:
    """Numbers of one run: exact match on `task0_test` and `task1`; `matched` is Task 0 where Task 1 first reaches the given accuracy. A run
    that never had Task 0 starts from nothing, and so has no trough: step EARLY_STEP stands for it."""
    task0, task1 = curve(run, "task0_test"), curve(run, "task1")
    before, after = at_step(task0, 0), task0.iloc[-1]
    lowest = at_step(task0, min(EARLY_STEP, after["step"])) if never_had_task0(run["arm"].iloc[0]) else trough(task0)
    matched = at_step(task0, first_reaching(task1, matched_accuracy))
    continual = continual_summary([[before.value, at_step(task1, 0).value], [after["value"], task1["value"].iloc[-1]]])
    points = {"before": before, "trough": lowest, "final": Point(*after[["step", "value", "low", "high"]]), "matched": matched}
    points["later_peak"] = later_peak(task0)
    points["task1_final"] = Point(*task1.iloc[-1][["step", "value", "low", "high"]])
    summary: dict[str, float] = {}
    for name, point in points.items():
        summary |= {name: point.value, f"{name}_low": point.low, f"{name}_high": point.high}
    return summary | {
        "trough_step": lowest.step,
        "matched_step": matched.step,
        "steps": float(after["step"]),
        "rebound": rebound(task0, lowest),
        "area": area_above(task0),
        "forgetting": continual.forgetting,
        "backward_transfer": continual.backward_transfer,
        "final_average": continual.final,
    }
