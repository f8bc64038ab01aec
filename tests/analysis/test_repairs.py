"""Repairs side by side, on the made-up tables of the views: each with its own control and what it leaves of Task 1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic, synthetic_views

from forgetting.analysis.repairs import REPAIRS, repair_runs, repair_table
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

KEYS = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]


def frames(seeds: tuple[int, ...]) -> dict[str, pd.DataFrame]:
    made: dict[str, list[pd.DataFrame]] = {name: [] for name in ("graft", "recall", "repair", "metrics", "recovery")}
    for seed in seeds:
        world = synthetic.World(seed)
        made["graft"].append(synthetic_views.graft_rows("seq", seed))
        made["recall"].append(synthetic_views.recall_rows("seq", seed))
        made["repair"].append(synthetic_views.repair_rows("seq", seed))
        made["metrics"].append(synthetic.task1_metrics(world.task1("seq", np.array([0, 100, 4000])), "seq"))
        made["recovery"].append(summarise(world.recovery("seq", {"task1": (0, 100, 4000), "shuffled": (100, 4000)}), KEYS, EXACT))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in made.items()}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return repair_runs(**frames((0,))).set_index(["time", "repair"])


def test_every_repair_is_there_at_both_times_but_those_not_run(runs: pd.DataFrame) -> None:
    made = {each.label for each in REPAIRS} - {"recovery, one epoch about 1 person", "shift of 16 known persons taken off"}
    for time in ("early", "late"):
        assert set(runs.loc[time].index) == made | {"nothing done", "before Task 1"}


@pytest.mark.parametrize(
    ("time", "repair", "task0", "control", "task1"),
    [
        ("late", "1 direction of each update off", 0.45, 0.1, 0.6),  # of 0.4 and 0.05 a direction; random ones leave 0.1
        ("early", "8 directions of each update off", 0.8, 0.1, 0.03),
        ("late", "norms put back", 0.12, 0.15, 0.5),
        ("early", "first block put back", 0.8, 0.15, 0.03),
        ("late", "half of the whole update off", 0.545, np.nan, 0.5),
        ("late", "4 solved questions in the prompt", 0.02, 0.02, 1.0),  # the weights are those of the checkpoint, and Task 1 with them
        ("late", "the fact itself in the prompt", 0.7, 0.05, 1.0),
        ("late", "shift of 1 known person taken off", 0.4, 0.05, np.nan),  # the states are changed, which Task 1 was not asked with
        ("early", "choice among the values of its kind", 0.5, 0.01, 0.03),
    ],
)
def test_numbers_are_those_of_the_views(runs: pd.DataFrame, time: str, repair: str, task0: float, control: float, task1: float) -> None:
    row = runs.loc[(time, repair)]
    assert row[["task0", "task0_random", "task1"]].to_numpy(float) == pytest.approx([task0, control, task1], nan_ok=True)


def test_recovery_is_that_from_trough_and_end(runs: pd.DataFrame) -> None:
    recovery = frames((0,))["recovery"]
    rows = recovery[(recovery["split"] == "task0_test") & (recovery["kind"] == "all") & (recovery["metric"] == "exact_match")]
    rows = rows[rows["epochs"] == 1].set_index(["checkpoint", "training"])["value"]
    for time, checkpoint in (("early", 100), ("late", 4000)):
        row = runs.loc[(time, "recovery, one epoch")]
        assert row["task0"] == rows[checkpoint, "right"] and row["task0_random"] == rows[checkpoint, "shuffled"]
        assert np.isnan(row["task1"]), "recovery does not ask about Task 1"


def test_over_seeds() -> None:
    table = repair_table(**frames((0, 1)))
    assert set(table["seeds"]) == {2} and table.groupby("time").size().nunique() == 1
    assert not table.duplicated(["time", "repair"]).any()
