"""Made-up runs of the crossed experiment: what each cell does to Task 0 of either half is said here, so that tests can look for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tests.figures import synthetic

from forgetting.data.cells import FORMATS, VALUES, factors_of_arm
from forgetting.data.points import never_had_task0
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

STEPS = np.array([0, 25, 50, 100, 150, 500, 1000, 3000])
ARMS = [
    f"seq{'-half' if values == 'half' else ''}{'' if form == 'same' else '-' + form}{floor}"
    for form in FORMATS
    for values in VALUES
    for floor in ("", "-no-task0")
]


def level(arm: str, half: str, step: int) -> float:
    """Task 0 exact match: the same words lose it for all; values of B alone lose it of A; each returns a little."""
    values, form = factors_of_arm(arm) or ("", "")
    if never_had_task0(arm):
        return 0.0 if step == 0 else 0.05 if form == "same" else 0.02
    left = {"same": 0.1, "other": 0.5, "statement": 0.9}[form]
    if values == "half":
        left = 0.15 if half == "A" else max(left, 0.6)
    fallen = 1 - (1 - left) * min(1, step / 100)
    return fallen + (0.1 if step == 500 else 0.0)


def facts(world: synthetic.World, arm: str) -> pd.DataFrame:
    """FACTS of one run."""
    half = synthetic.halves(world).set_index("unit")["half"]
    rows = []
    for step in STEPS:
        accuracy = {"task0_val": 0.5, "task0_test": 0.5, "task1": min(0.99, step / 2000), "control": 0.0}
        found = world.answers([synthetic.Run(accuracy, {"step": int(step)})])
        asked = world.questions.loc[found.index]
        of_test = found["split"].isin(["task0_val", "task0_test"])
        limit = found["unit"].map(half).map({name: level(arm, name, int(step)) for name in ("A", "B")})
        found["exact_match"] = np.where(of_test, asked["difficulty"] < limit, found["exact_match"])
        found["first_token_hard"] = np.where(of_test, asked["difficulty"] < limit + 0.2, found["first_token_hard"])
        rows.append(found)
    return pd.concat(rows, ignore_index=True).assign(scale="factors", seed=world.seed, stage="task1", arm=arm)


def recovery_facts(world: synthetic.World, arm: str) -> pd.DataFrame:
    """RECOVERY_FACTS: from 0 as it is; from 100 (the trough) to 0.9, floors to 0.6; from the end to 0.8, floors to 0.5."""
    half = synthetic.halves(world).set_index("unit")["half"]
    rows = []
    for checkpoint, reached in ((0, None), (100, 0.9), (3000, 0.8)):
        for epochs in (0.0, 1.0) if reached else (0.0,):
            of_run = {"start": "task1", "training": "right", "units": 15}
            of_run |= {"checkpoint": checkpoint, "epochs": epochs, "step": round(56 * epochs)}
            found = world.answers([synthetic.Run({"task0_test": 0.5, "control": 0.0}, of_run)])
            asked = world.questions.loc[found.index]
            after = (reached or 1) - (0.3 if never_had_task0(arm) else 0)
            limit = after if epochs else found["unit"].map(half).map({name: level(arm, name, checkpoint) for name in ("A", "B")})
            found["exact_match"] = np.where(found["split"] == "task0_test", asked["difficulty"] < limit, False)
            rows.append(found)
    return pd.concat(rows, ignore_index=True).assign(scale="factors", seed=world.seed, stage="recovery", arm=arm)


def frames(seeds: tuple[int, ...] = (0,), arms: list[str] = ARMS) -> dict[str, pd.DataFrame]:
    """The inputs of the figure and the table, by name."""
    worlds = [synthetic.World(seed) for seed in seeds]
    of_task1 = [facts(world, arm) for world in worlds for arm in arms]
    probes = pd.concat([recovery_facts(world, arm) for world in worlds for arm in arms], ignore_index=True)
    keys = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]
    return {
        "metrics": pd.concat([synthetic.task1_metrics(found, found["arm"].iloc[0]) for found in of_task1], ignore_index=True),
        "facts": pd.concat(of_task1, ignore_index=True),
        "halves": pd.concat([synthetic.halves(world) for world in worlds], ignore_index=True),
        "recovery": summarise(probes, keys, EXACT),
        "recovery_facts": probes,
    }
