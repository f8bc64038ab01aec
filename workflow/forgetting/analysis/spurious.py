"""Is the forgetting spurious? Numbers from the recovery probe (docs/definitions.md), with intervals from a bootstrap over units.

`facts` are rows of RECOVERY_FACTS. *Before* is the model after Task 0 (checkpoint 0), *dropped* a later Task 1 checkpoint, *recovered* that
checkpoint after one epoch on `task0_train`. All are scored on `task0_test`: units whose questions no task was trained on.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from forgetting.analysis.curves import crossings
from forgetting.data.points import END, MATCHED, TROUGH, floor_of, matched_step, trough_step
from forgetting.intervals import CONFIDENCE, TAILS, Interval, unit_bootstrap
from forgetting.schemas.facts import ACCURACY
from forgetting.statistics import share_of_units

DRAWS = 2000
SMALLEST_DROP = 0.02
"""With a smaller drop than this (in exact match) there was nothing to recover, and the share is undefined."""
ENOUGH_UNITS = 5
"""With fewer units who have a wrong (or a right) answer, resampling them does not show how sure an accuracy is."""
RELEARNED = 0.9
"""The accuracy at which savings are measured."""
EARLY_STEPS = 20
"""Up to where the area under recovery reaches, unless the study says otherwise (the last of `recovery.evaluate_steps`)."""

Probes = Mapping[tuple[int, str, int], pd.DataFrame]
"""Facts of recoveries by seed, arm and checkpoint."""


class Transitions(NamedTuple):
    """Shares of the facts that were known before Task 1; they add up to 1."""

    kept: float
    lost_and_recovered: float
    not_back_after_one_epoch: float


class Savings(NamedTuple):
    """ratio: NaN where the bounds, between which the ratio is known to lie, do not tell it from 1."""

    ratio: Interval
    at_least: float
    at_most: float


def probe_points(metrics: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """Which checkpoints of each run are its trough, its match and its end: columns seed, arm, point, checkpoint, learned.

    trough: the checkpoint that the recovery job took for it, which is the earlier of the two that it also recovers with shuffled answers;
    without such rows see `trough_step`. matched: where Task 1 was learned (where
    it never was, `learned` is False and the checkpoint is the last one). end: the last checkpoint.
    """
    dropped = task0_rows(recovery[(recovery["start"] == "task1") & (recovery["epochs"] == 0) & (recovery["checkpoint"] > 0)])
    marked = recovery[recovery["training"] == "shuffled"].groupby(["seed", "arm"])["checkpoint"].min().to_dict()
    rows = []
    for (seed, arm), run in dropped.groupby(["seed", "arm"], sort=False):
        of_task1 = metrics[(metrics["seed"] == seed) & (metrics["arm"] == arm)]
        stop = matched_step(of_task1)
        checkpoints = sorted(run["checkpoint"])
        trough = marked[seed, arm] if (seed, arm) in marked else trough_step(of_task1, checkpoints)
        end = int(checkpoints[-1])
        learned = not np.isnan(stop)
        rows.append((seed, arm, TROUGH, int(trough), learned))
        rows.append((seed, arm, MATCHED, int(stop) if learned else end, learned))
        rows.append((seed, arm, END, end, learned))
    return pd.DataFrame(rows, columns=["seed", "arm", "point", "checkpoint", "learned"])


def task0_rows(metrics: pd.DataFrame, split: str = "task0_test", training: str = "right") -> pd.DataFrame:
    """The micro-averages of the accuracy on one split. Of RECOVERY: those of the probe itself, unless `training` names a control."""
    rows = metrics[(metrics["split"] == split) & (metrics["metric"] == ACCURACY) & (metrics["kind"] == "all")]
    return rows[rows["training"] == training] if "training" in rows else rows


def probe_facts(facts: pd.DataFrame) -> pd.DataFrame:
    """RECOVERY_FACTS of `task0_test` after training on the right answers of all units: the probe itself, without its controls."""
    return facts[(facts["split"] == "task0_test") & (facts["training"] == "right")]


def spurious_share(before: pd.DataFrame, dropped: pd.DataFrame, recovered: pd.DataFrame, seed: int = 0) -> Interval:
    """(recovered - dropped) / (before - dropped) of the exact match, with a unit-bootstrap interval; NaN when nothing dropped.

    Each argument holds the facts of one evaluation (columns unit, exact_match) of the same units. Where hardly any unit has a wrong
    answer after recovery, or hardly any a right one, or all draws are alike, the interval is at least as wide as Wilson's of the recovered
    accuracy makes it, the other two held: resampling the units cannot say how sure that is, and would leave no width at all.
    """
    stages = np.stack([accuracy_by_unit(facts) for facts in (before, dropped, recovered)], axis=1)
    weights = unit_bootstrap(len(stages), DRAWS, seed) / len(stages)
    found = _with_percentiles(_share(stages.mean(axis=0)[None]), _share(weights @ stages))
    apart = min((stages[:, 2] < 1).sum(), (stages[:, 2] > 0).sum())
    if np.isnan(found.low) or (apart >= ENOUGH_UNITS and found.low < found.high):
        return found
    again = share_of_units(stages[:, 2])
    at_ends = stages.mean(axis=0) + np.array([[0, 0, end - again.value] for end in again[1:]])
    low, high = _share(at_ends)
    return Interval(found.value, min(found.low, float(low)), max(found.high, float(high)))


def savings(pretrained: pd.DataFrame, task1: pd.DataFrame) -> Savings:
    """Steps that the pretrained model needs to reach 90 % exact match, divided by the steps that the Task 1 model needs; unit bootstrap.

    Each argument holds the facts of one recovery (columns unit, step, exact_match). Crossings are linear between evaluations. Infinite
    where the Task 1 model starts above 90 %; 0 where it never gets there in as many steps as the pretrained one needs; NaN where that one
    never does, or only after more steps than the Task 1 model was given.

    All that is known of a crossing is between which two evaluations it lies. The bounds take the ends of these brackets that make the
    ratio smallest and largest; where 1 is between them the evaluations do not resolve which model was sooner, and there is no ratio.
    """
    curves = [accuracy_by_unit_and_step(facts) for facts in (pretrained, task1)]
    units = curves[0].index
    weights = unit_bootstrap(len(units), DRAWS, 0) / len(units)
    uniform = np.full((1, len(units)), 1 / len(units))
    of_pretrained, of_task1 = (
        [crossings(frame.columns, rows @ frame.loc[units].to_numpy(), RELEARNED) for rows in (uniform, weights)] for frame in curves
    )
    given = float(curves[1].columns.max())
    point, draws = (_ratio(*both, given) for both in zip(of_pretrained, of_task1, strict=True))
    at_least, at_most = _bounds(_bracket(curves[0]), _bracket(curves[1]), given)
    resolved = not at_least <= 1 <= at_most
    return Savings(_with_percentiles(point, draws) if resolved else Interval(np.nan, np.nan, np.nan), at_least, at_most)


def early_area(facts: pd.DataFrame, until: int = EARLY_STEPS) -> np.ndarray:
    """Mean exact match of each unit from the first evaluated step of recovery after 0 to step `until` (trapezoids), (units,) in the
    order of their numbers. NaN where the recovery is not evaluated twice by then. Columns unit, step, exact_match.

    Step 0 is left out: what is there without recovery is told by itself, and so 1 is the most that any model can have.
    """
    curves = accuracy_by_unit_and_step(facts)
    steps = curves.columns.to_numpy(dtype=float)
    early = (steps > 0) & (steps <= until)
    if early.sum() < 2:
        return np.full(len(curves), np.nan)
    at = steps[early]
    return np.trapezoid(curves.to_numpy()[:, early], at, axis=1) / (at[-1] - at[0])


def mean_interval(by_unit: np.ndarray) -> Interval:
    """Mean over units with the percentile interval of the unit bootstrap; NaN where a unit has none. (units,)"""
    if np.isnan(by_unit).any():
        return Interval(np.nan, np.nan, np.nan)
    draws = unit_bootstrap(len(by_unit), DRAWS, 0) @ by_unit / len(by_unit)
    low, high = np.quantile(draws, TAILS, method="inverted_cdf")
    return Interval(float(by_unit.mean()), float(low), float(high))


def probes_by_checkpoint(facts: pd.DataFrame) -> Probes:
    """`facts`, as `probe_facts` gives them, of each recovery from a Task 1 checkpoint, by seed, arm and step of the checkpoint."""
    return dict(list(facts[facts["start"] == "task1"].groupby(["seed", "arm", "checkpoint"])))


def floor_probe(probes: Probes, points: pd.DataFrame, point: Mapping[Hashable, Any]) -> pd.DataFrame | None:
    """The recovery of the arm that is this one without Task 0 (`floor_of`) that a row of `points` is held against; None without one.

    It starts where that arm itself learned Task 1 (matched, if both did), else from its last checkpoint up to the same step. `points`: of
    all arms.
    """
    seed, arm = point["seed"], floor_of(point["arm"], {arm for _, arm, _ in probes})
    checkpoints = sorted(checkpoint for *run, checkpoint in probes if run == [seed, arm] and checkpoint > 0)
    if arm is None or arm == point["arm"] or not checkpoints:
        return None
    own = points[(points["seed"] == seed) & (points["arm"] == arm) & (points["point"] == point["point"])]
    if point["point"] == MATCHED and point["learned"] and len(own) and own["learned"].iloc[0]:
        return probes[seed, arm, own["checkpoint"].iloc[0]]
    before = [checkpoint for checkpoint in checkpoints if checkpoint <= point["checkpoint"]]
    return probes[seed, arm, max(before, default=checkpoints[0])]


def transitions(before: pd.DataFrame, dropped: pd.DataFrame, recovered: pd.DataFrame) -> Transitions:
    """What became of the facts answered right before Task 1: right all along, wrong and right again after recovery, wrong for good."""
    return Transitions(*fact_fates(before, dropped, recovered).astype(float).mean())


def fact_fates(before: pd.DataFrame, dropped: pd.DataFrame, recovered: pd.DataFrame) -> pd.DataFrame:
    """For each fact answered right before Task 1 (index: unit, kind), which of the three it is: columns as in Transitions."""
    known, still, again = (facts.set_index(["unit", "kind"])[ACCURACY] for facts in (before, dropped, recovered))
    still, again = (answers.loc[known[known].index] for answers in (still, again))
    return pd.DataFrame({"kept": still, "lost_and_recovered": ~still & again, "not_back_after_one_epoch": ~still & ~again})


def probe_stages(run: pd.DataFrame, checkpoint: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The facts of one run before Task 1, at a checkpoint, and after one epoch of recovery from there."""
    untrained, probe = run[run["epochs"] == 0], run[run["checkpoint"] == checkpoint]
    return untrained[untrained["checkpoint"] == 0], untrained[untrained["checkpoint"] == checkpoint], probe[np.isclose(probe["epochs"], 1)]


def accuracy_by_unit(facts: pd.DataFrame) -> np.ndarray:
    """Exact match of each unit, (units,), in the order of the units' numbers; every unit has as many questions."""
    return facts.groupby("unit")[ACCURACY].mean().to_numpy(dtype=float)


def accuracy_by_unit_and_step(facts: pd.DataFrame) -> pd.DataFrame:
    """Exact match, one row a unit and one column a step, both in ascending order."""
    return facts.groupby(["unit", "step"])[ACCURACY].mean().unstack("step").astype(float)


def recovery_summary(facts: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """One row for each row of `points`, with spurious share, savings (and their intervals) and per-fact transitions added.

    floor_share: the spurious share that the arm would have if recovery had brought it to where the model that never had Task 0 comes
    (`floor_probe`), NaN without one.
    """
    test = probe_facts(facts)
    pretrained = {seed: rows for seed, rows in test[test["start"] == "pretrained"].groupby("seed")}
    from_task1, probes = test[test["start"] == "task1"], probes_by_checkpoint(test)
    runs = {key: rows for key, rows in from_task1.groupby(["seed", "arm"])}
    rows = []
    for point in points.to_dict("records"):
        run = runs[point["seed"], point["arm"]]
        stages = probe_stages(run, point["checkpoint"])
        if any(stage.empty for stage in stages):
            raise ValueError(
                f"no recovery of arm {point['arm']!r}, seed {point['seed']}, from checkpoint {point['checkpoint']} (or from 0)"
            )
        share = spurious_share(*stages)
        probe = run[run["checkpoint"] == point["checkpoint"]]
        undefined = Interval(np.nan, np.nan, np.nan)
        floor = floor_probe(probes, points, point)
        floor_share = undefined if floor is None else spurious_share(*stages[:2], floor[np.isclose(floor["epochs"], 1)])
        saved = savings(pretrained[point["seed"]], probe) if point["seed"] in pretrained else Savings(undefined, np.nan, np.nan)
        intervals = {"spurious_share": share, "floor_share": floor_share, "savings": saved.ratio}
        ends = {
            f"{name}{end}": value for name, triple in intervals.items() for end, value in zip(("", "_low", "_high"), triple, strict=True)
        }
        bounds = {"savings_at_least": saved.at_least, "savings_at_most": saved.at_most}
        rows.append({**point, **ends, **bounds, **transitions(*stages)._asdict()})
    return pd.DataFrame(rows)


def _share(stages: np.ndarray) -> np.ndarray:
    """(rows, 3) accuracies before, dropped, recovered -> the share of the drop that came back, NaN below the smallest drop."""
    before, dropped, recovered = stages.T
    drop = before - dropped
    return np.divide(recovered - dropped, drop, out=np.full(len(drop), np.nan), where=drop >= SMALLEST_DROP)


def _ratio(pretrained: np.ndarray, task1: np.ndarray, given: float) -> np.ndarray:
    """Savings from the two crossings. A Task 1 model that never crosses must count, or the mean over seeds would be of those that do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(task1) & (pretrained <= given), 0.0, pretrained / task1)


def _bracket(curves: pd.DataFrame) -> tuple[float, float]:
    """The last evaluated step before, and the first at which, the mean of (units, steps) is at 90 %; infinite ends where it never is."""
    steps, reached = curves.columns.to_numpy(dtype=float), curves.to_numpy().mean(axis=0) >= RELEARNED
    if not reached.any():
        return np.inf, np.inf
    first = int(reached.argmax())
    return float(steps[max(first - 1, 0)]), float(steps[first])


def _bounds(pretrained: tuple[float, float], task1: tuple[float, float], given: float) -> tuple[float, float]:
    """Smallest and largest savings that two brackets allow; NaN where the pretrained model never crosses."""
    if np.isinf(pretrained[1]):
        return np.nan, np.nan
    if task1[1] == 0:
        return np.inf, np.inf
    if np.isinf(task1[1]):
        return 0.0, pretrained[1] / given
    return pretrained[0] / task1[1], np.inf if task1[0] == 0 else pretrained[1] / task1[0]


def _with_percentiles(point: np.ndarray, draws: np.ndarray) -> Interval:
    """The percentile interval of the defined draws; no interval when the number is undefined, or in more than 5 % of the draws."""
    defined = draws[~np.isnan(draws)]
    if np.isnan(point[0]) or len(defined) < CONFIDENCE * len(draws):
        return Interval(float(point[0]), np.nan, np.nan)
    low, high = np.quantile(defined, TAILS, method="inverted_cdf")
    return Interval(float(point[0]), float(low), float(high))
