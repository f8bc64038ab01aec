"""Where on which axis an arm is, and what its row says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic

from forgetting.analysis.axes import axes_table, axis_runs
from forgetting.data.axes import axis_of_arm, tells
from forgetting.intervals import summarise
from forgetting.methods.seq import Knobs
from forgetting.schemas.facts import EXACT

ARMS = ("seq", "seq-units-250", "seq-sgd", "seq-batch-64", "seq-lr-8e-4")
PLAIN = {"units": 1000, "optimizer": "adamw", "batch_size": 16, "learning_rate": 2e-4}
STEPS = np.array([0, 50, 150, 4000])


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    world = synthetic.World(0)
    metrics = pd.concat(
        [synthetic.task1_metrics(world.task1(arm, STEPS), arm) for arm in (*ARMS, "seq-no-task0", "replay-20")], ignore_index=True
    )
    probes = [world.recovery(arm, {"task1": (0, 50, 4000)}, short=True) for arm in (*ARMS, "seq-no-task0", "replay-20")]
    probes.append(world.recovery("controls", {"pretrained": (0,)}))
    keys = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]
    return {"metrics": metrics, "recovery": summarise(pd.concat(probes, ignore_index=True), keys, EXACT)}


def test_names_tell_axis_and_place() -> None:
    told = {arm: axis_of_arm(arm) for arm in ARMS}
    assert list(told.values()) == [None, ("units", "250"), ("optimizer", "sgd"), ("batch_size", "64"), ("learning_rate", "8e-4")]
    assert tells("seq-lr-8e-4", Knobs(method="seq", learning_rate=0.0008)) and not tells("seq-lr-8e-4", Knobs(method="seq"))
    assert tells("seq-sgd", Knobs(method="seq", optimizer="sgd")) and not tells("seq-sgd", Knobs(method="seq", optimizer="muon"))


def test_seq_is_on_every_axis_and_others_on_theirs(frames: dict[str, pd.DataFrame]) -> None:
    runs = axis_runs(**frames, plain=PLAIN)
    places = {axis: rows["place"].tolist() for axis, rows in runs.groupby("axis")}
    assert places == {
        "units": ["250", "1000"],
        "optimizer": ["sgd", "adamw"],
        "batch_size": ["16", "64"],
        "learning_rate": ["0.0002", "0.0008"],
    }
    assert runs.groupby("arm")["axis"].nunique().to_dict() == {arm: 4 if arm == "seq" else 1 for arm in ARMS}


def test_a_row_by_hand(frames: dict[str, pd.DataFrame]) -> None:
    metrics, recovery = frames["metrics"], frames["recovery"]
    test = (metrics["split"] == "task0_test") & (metrics["kind"] == "all") & (metrics["metric"] == "exact_match")
    values = metrics[test & (metrics["arm"] == "seq-sgd")].set_index("step")["value"]
    after = recovery[(recovery["arm"] == "seq-sgd") & (recovery["split"] == "task0_test") & (recovery["metric"] == "exact_match")]
    after = after[(after["kind"] == "all") & (after["epochs"] == 1)].set_index("checkpoint")["value"]
    row = axis_runs(**frames, plain=PLAIN).set_index("arm").loc["seq-sgd"]
    assert row["trough"] == values[[50, 150]].min() and row["final"] == values[4000]
    assert row["late_recovered"] == after[4000] and row["early_recovered"] == after[50]


def test_the_table_has_the_rows_of_the_figure_and_the_pretrained_model_beside_them(frames: dict[str, pd.DataFrame]) -> None:
    table = axes_table(**frames, units=1000, batch_size=16, learning_rate=2e-4).set_index(["axis", "place"])
    assert table.loc[[("units", "1000"), ("optimizer", "adamw"), ("batch_size", "16")], "trough"].nunique() == 1, "seq, each time"
    recovery = frames["recovery"]
    never = recovery[(recovery["start"] == "pretrained") & (recovery["epochs"] == 1) & (recovery["split"] == "task0_test")]
    never = never[(never["metric"] == "exact_match") & (never["kind"] == "all")]
    assert (table["pretrained"] == never["value"].item()).all()
    row = table.loc[("optimizer", "sgd")]
    assert row["arm"] == "seq-sgd" and row["seeds"] == 1
    assert row["late_recovered_low"] < row["late_recovered"] < row["late_recovered_high"]


def test_an_arm_is_beside_its_own_floor_and_no_other(frames: dict[str, pd.DataFrame]) -> None:
    recovery = frames["recovery"]
    after = recovery[(recovery["arm"] == "seq-no-task0") & (recovery["split"] == "task0_test") & (recovery["metric"] == "exact_match")]
    after = after[(after["kind"] == "all") & (after["epochs"] == 1)].set_index("checkpoint")["value"]
    runs = axis_runs(**frames, plain=PLAIN).set_index("arm")
    assert set(runs.loc["seq", "early_floor"]) == {after[50]} and set(runs.loc["seq", "late_floor"]) == {after[4000]}
    assert runs.loc[runs.index != "seq", ["early_floor", "late_floor"]].isna().all(axis=None)
