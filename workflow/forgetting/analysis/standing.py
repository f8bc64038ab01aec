"""Recovery against its controls, unit by unit: the pretrained model, the model that never had Task 0, other form and other content.

Every difference is between answers of the same `task0_test` units in the same seed, with an interval from a bootstrap over units.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.analysis.spurious import (
    EARLY_STEPS,
    accuracy_by_unit,
    early_area,
    floor_probe,
    mean_interval,
    probe_facts,
    probes_by_checkpoint,
)
from forgetting.data.points import END, TROUGH, floor_of, never_had_task0
from forgetting.intervals import Interval, clustered_wilson
from forgetting.schemas.facts import ACCURACY
from forgetting.statistics import paired_difference

_KEYS = ["seed", "arm", "point"]


def against_controls(facts: pd.DataFrame, points: pd.DataFrame, early_steps: int = EARLY_STEPS) -> pd.DataFrame:
    """For each row of `points` (`probe_points`), with ends `_low` and `_high`: what is lost, and where recovery stands.

    drop: exact match before Task 1 minus that of the checkpoint. kept_beyond_floor: the checkpoint minus the floor's, without recovery.
    beyond_pretrained, beyond_floor: the difference after one epoch of recovery. early_area: see `early_area`; area_pretrained, area_floor:
    of the controls; area_beyond_pretrained, area_beyond_floor: the differences. floor: exact match of the floor after one epoch;
    recovered_long, floor_long: of both after the longest recovery. The floor is the arm that never had Task 0 (`floor_probe`). NaN without
    the control or where it was not measured. `facts`: RECOVERY_FACTS.
    """
    test = probe_facts(facts)
    probes = probes_by_checkpoint(test)
    controls = dict(list(test[test["start"] == "pretrained"].groupby("seed")))
    rows, longest = [], test["epochs"].max()
    for point in points.to_dict("records"):
        before, probe = (probes[point["seed"], point["arm"], checkpoint] for checkpoint in (0, point["checkpoint"]))
        pretrained, floor = controls.get(point["seed"]), floor_probe(probes, points, point)
        area, answers = early_area(probe, early_steps), _answers_of_a_unit(before)
        found = {"drop": _mean_difference(_at(before, 0), _at(probe, 0), answers), "early_area": mean_interval(area)}
        found["kept_beyond_floor"] = _mean_difference(_at(probe, 0), None if floor is None else _at(floor, 0), answers)
        for name, control in (("pretrained", pretrained), ("floor", floor)):
            after, of_control = (None, None) if control is None else (_at(control, 1), early_area(control, early_steps))
            found[f"beyond_{name}"] = _mean_difference(_at(probe, 1), after, answers)
            found[f"area_{name}"] = _UNDEFINED if of_control is None else mean_interval(of_control)
            found[f"area_beyond_{name}"] = _mean_difference(area, of_control, answers)
        found["floor"] = _UNDEFINED if floor is None else _accuracy(floor[np.isclose(floor["epochs"], 1)])
        for name, run in (("recovered_long", probe), ("floor_long", floor)):
            last = None if run is None else run[np.isclose(run["epochs"], longest)]
            found[name] = _UNDEFINED if last is None or last.empty else _accuracy(last)
        rows.append({key: point[key] for key in _KEYS} | with_ends(found))
    return pd.DataFrame(rows)


def content_and_form(facts: pd.DataFrame, points: pd.DataFrame, early_steps: int = EARLY_STEPS) -> pd.DataFrame:
    """One row for each training (see RECOVERY) from trough and end of the runs that have such controls, after as many steps as one epoch
    of the right answers, and first of `none`, the checkpoint itself; columns seed, arm, point, training, units and, with ends,

    task0: exact match of `task0_test`; early_area; area_beyond_floor: that less the one of the floor (`floor_of`) on the same training,
    from the same step, or from the floor's own trough or end where that was not probed; task0_nll: mean negative log-likelihood of the
    old answers, nats a token; control_probability: how likely the model finds the answers of units that no stage saw, the mean over their
    questions of the geometric mean over answer tokens: what it says of the unknown, not what it knows.
    """
    of_task1 = facts[facts["start"] == "task1"]
    has_controls = set(of_task1.loc[of_task1["training"] == "unseen", "arm"])
    probes = of_task1[of_task1["arm"].isin(has_controls) & (of_task1["split"] == "task0_test")]
    areas = {
        run: early_area(probe, early_steps) for run, probe in probes.groupby(["seed", "arm", "checkpoint", "training", "units"], sort=False)
    }
    chosen = points[points["point"].isin([TROUGH, END]) & points["arm"].isin(has_controls)]
    own_steps = chosen.set_index(_KEYS)["checkpoint"]
    rows = []
    for point in chosen.to_dict("records"):
        floor_arm = None if never_had_task0(point["arm"]) else floor_of(point["arm"], has_controls)
        floor_steps = (point["checkpoint"], own_steps.get((point["seed"], floor_arm, point["point"])))
        here = of_task1[(of_task1[["seed", "arm", "checkpoint"]] == [point[key] for key in ("seed", "arm", "checkpoint")]).all(axis=1)]
        found: list[tuple[str, int, pd.DataFrame]] = [("none", 0, here[(here["training"] == "right") & (here["epochs"] == 0)])]
        for (training, units), probe in here.groupby(["training", "units"], sort=False):
            found.append((training, units, probe[np.isclose(probe["epochs"], 1)]))
        for training, units, after in found:
            test, control = (after[after["split"] == split] for split in ("task0_test", "control"))
            area = areas.get((point["seed"], point["arm"], point["checkpoint"], training, units))
            of_floor = (areas.get((point["seed"], floor_arm, step, training, units)) for step in floor_steps)
            floor = next((one for one in of_floor if one is not None), None)
            probability = control.assign(value=np.exp(-control["answer_nll"].astype(float))).groupby("unit")["value"].mean()
            numbers = {
                "task0": _accuracy(test),
                "early_area": _UNDEFINED if area is None else mean_interval(area),
                "area_beyond_floor": _mean_difference(area, floor, _answers_of_a_unit(test)),
                "task0_nll": mean_interval(test.groupby("unit")["answer_nll"].mean().to_numpy(dtype=float)),
                "control_probability": mean_interval(probability.to_numpy(dtype=float)),
            }
            rows.append({key: point[key] for key in _KEYS} | {"training": training, "units": units} | with_ends(numbers))
    return pd.DataFrame(rows)


def with_ends(numbers: dict[str, Interval]) -> dict[str, float]:
    """Each number under its name, and the ends of its interval under `<name>_low` and `<name>_high`."""
    return {f"{name}{end}": value for name, number in numbers.items() for end, value in zip(("", "_low", "_high"), number, strict=True)}


_UNDEFINED = Interval(np.nan, np.nan, np.nan)


def _at(probe: pd.DataFrame, epochs: float) -> np.ndarray:
    return accuracy_by_unit(probe[np.isclose(probe["epochs"], epochs)])


def _answers_of_a_unit(probe: pd.DataFrame) -> int:
    """How many questions each unit is asked at one evaluation."""
    return int(probe.groupby(["unit", "step"]).size().iloc[0])


def _mean_difference(by_unit: np.ndarray | None, control: np.ndarray | None, answers: int) -> Interval:
    return _UNDEFINED if by_unit is None or control is None else paired_difference(by_unit, control, answers)


def _accuracy(facts: pd.DataFrame) -> Interval:
    return Interval(*map(float, clustered_wilson(facts[ACCURACY].to_numpy(), facts["unit"].to_numpy())))
