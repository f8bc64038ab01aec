"""Plain fine-tuning with one thing changed at a time (docs/definitions.md): what becomes of Task 0 at each place of an axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from forgetting.analysis.curves import trough
from forgetting.analysis.spurious import probe_points, task0_rows
from forgetting.analysis.summary import combine_seeds
from forgetting.data.axes import AXES, axis_of_arm
from forgetting.data.points import END, NO_TASK0, TROUGH, curve

PLAIN = "seq"
"""The arm in which nothing is changed, which is on every axis."""


def axes_table(
    metrics: pd.DataFrame, recovery: pd.DataFrame, units: int = 0, batch_size: int = 0, learning_rate: float = 0.0
) -> pd.DataFrame:
    """One row an axis and place, over seeds: the numbers of `axis_runs`, and what one epoch makes of the pretrained model. The last three:
    where `seq` is."""
    runs = axis_runs(metrics, recovery, {"units": units, "optimizer": "adamw", "batch_size": batch_size, "learning_rate": learning_rate})
    never = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])
    named = {"value": "pretrained", "low": "pretrained_low", "high": "pretrained_high"}
    runs = runs.merge(never[["seed", *named]].rename(columns=named), on="seed", how="left")
    values = ["learned", "task1_final", "trough", "early_recovered", "early_floor", "final", "late_recovered", "late_floor", "pretrained"]
    return combine_seeds(runs, ["axis", "place", "arm"], values)


def axis_runs(metrics: pd.DataFrame, recovery: pd.DataFrame, plain: Mapping[str, float | str]) -> pd.DataFrame:
    """One row a seed, arm and axis (knob): place, as the config says it; order, from the smallest; learned; and exact match with ends
    `_low` and `_high`: of Task 1 at its end, task1_final; of Task 0 trough (lowest of the first 150 steps), final, and after one epoch of
    recovery from the trough and from the end, early_recovered and late_recovered, and early_floor and late_floor from step 150 and the
    end of the same arm without Task 0 (NaN where it was not run). plain: where `seq` is on each axis."""
    points = probe_points(metrics, recovery)
    recovered = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    after = points.merge(recovered[["seed", "arm", "checkpoint", "value", "low", "high"]], on=["seed", "arm", "checkpoint"])
    rows = []
    for (seed, arm), run in metrics.groupby(["seed", "arm"], sort=False):
        if arm != PLAIN and axis_of_arm(arm) is None:
            continue
        of_run, floor = (after[(after["seed"] == seed) & (after["arm"] == name)].set_index("point") for name in (arm, f"{arm}{NO_TASK0}"))
        task0 = curve(run, "task0_test")
        lowest, end = trough(task0), task0.iloc[-1]
        found = {"trough": lowest[1:], "final": end[["value", "low", "high"]]}
        found["task1_final"] = curve(run, "task1").iloc[-1][["value", "low", "high"]]
        for point, name in ((TROUGH, "early"), (END, "late")):
            found[f"{name}_recovered"] = of_run.loc[point, ["value", "low", "high"]]
            found[f"{name}_floor"] = floor.loc[point, ["value", "low", "high"]] if len(floor) else (np.nan,) * 3
        numbers = {f"{name}{end}": float(value) for name, triple in found.items() for end, value in zip(_ENDS, triple, strict=True)}
        named: dict[str, object] = {"seed": seed, "arm": arm, "learned": bool(of_run["learned"].iloc[0])}
        knob, told = axis_of_arm(arm) or ("", "")
        for axis in [knob] if knob else AXES:
            place = told if knob else plain[axis]
            text = str(place) if axis == "optimizer" else f"{float(place):g}"
            rows.append(named | numbers | {"axis": axis, "place": text, "order": _order(axis, place)})
    return pd.DataFrame(rows).sort_values(["axis", "order", "seed"], ignore_index=True)


_ENDS = ("", "_low", "_high")
_OPTIMIZERS = ("sgd", "adamw", "muon")


def _order(axis: str, place: float | str) -> float:
    return _OPTIMIZERS.index(str(place)) if axis == "optimizer" else float(place)
