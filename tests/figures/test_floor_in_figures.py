"""The arm that never had Task 0 is drawn beside the arms that are held against it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from tests.figures import synthetic

from forgetting.figures import performance, recovery, style
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

FLOOR = "seq-no-task0"
KEYS = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]


@lru_cache
def frames() -> dict[str, pd.DataFrame]:
    """`seq` and its floor, which begins with no Task 0, probed from the same checkpoints; one seed."""
    world = synthetic.World(0)
    of_seq = world.task1("seq")
    starts = {"task1": (0, 150, 2600, 4000), "shuffled": (150, 4000)}
    metrics = synthetic.task1_metrics(of_seq, "seq")
    facts = [world.recovery("seq", starts), world.recovery("controls", {"pretrained": (0,), "random": (0,)})]
    floor = facts[0].assign(arm=FLOOR)
    before = floor["checkpoint"] == 0
    floor.loc[before, "exact_match"] = False
    facts.append(floor)
    whole = pd.concat(facts, ignore_index=True)
    halved = metrics["value"].where(metrics["metric"] == "early_stop_step", 0.5 * metrics["value"])
    return {
        "metrics": pd.concat([metrics, metrics.assign(arm=FLOOR, value=halved)], ignore_index=True),
        "recovery": summarise(whole, KEYS, EXACT),
        "recovery_facts": whole,
        "floors": synthetic.floors(0),
    }


@pytest.mark.parametrize("panel", [0, 1])
def test_performance_draws_the_floor_dotted_in_grey(panel: int) -> None:
    given = frames()
    figure = performance.draw(given["metrics"], given["recovery"], given["floors"])
    color = style.arm_look(FLOOR).color.lower()
    lines = [line for line in figure.axes[panel].lines if to_hex(line.get_color()) == color and line.get_linestyle() == ":"]
    rows = given["metrics"]
    rows = rows[(rows["arm"] == FLOOR) & (rows["split"] == "task0_test") & (rows["metric"] == "exact_match") & (rows["kind"] == "all")]
    rows = rows[rows["step"] <= (150 if panel == 0 else np.inf)].sort_values("step")
    assert [np.allclose(line.get_ydata(), rows["value"]) for line in lines] == [True]
    assert any("never had Task 0" in text.get_text() for legend in figure.legends for text in legend.get_texts())


def test_recovery_draws_the_floor_from_each_checkpoint_and_as_a_share() -> None:
    given = frames()
    figure = recovery.draw(given["metrics"], given["recovery"], given["recovery_facts"])
    color = style.arm_look(FLOOR).color.lower()
    of_floor = [[line for line in panel.lines if to_hex(line.get_color()) == color] for panel in figure.axes[:3]]
    assert all(of_floor), "in every panel"
    assert {line.get_linestyle() for line in of_floor[0]} == {":"}
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["seq"], "the floor has no share of its own"
    assert [line.get_marker() for line in of_floor[2]] == ["|", "|", "|"]
