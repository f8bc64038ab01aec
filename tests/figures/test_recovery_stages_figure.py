from __future__ import annotations

import numpy as np
import pandas as pd
from tests.figures.synthetic import BEFORE_TASK1, World

from forgetting.figures import recovery_stages, style
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

KEYS = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]


def test_each_checkpoint_of_the_models_life_has_one_place_in_its_order() -> None:
    world = World(0)
    facts = pd.concat([world.recovery("controls", BEFORE_TASK1), world.recovery("seq", {"task1": (0, 150, 4000)})], ignore_index=True)
    figure = recovery_stages.draw(summarise(facts, KEYS, EXACT))
    panel = figure.axes[0]
    labels = [label.get_text() for label in panel.get_xticklabels()]
    assert labels == ["random", "1,000", "2,000", "3,000", "end", "6", "14", "end", "150", "4,000"]
    asked = facts[(facts["split"] == "task0_test") & (facts["training"] == "right")]
    for line, chosen in zip(panel.lines[:3], (np.isclose(asked["epochs"], 1), asked["step"] == 7, asked["step"] == 0), strict=True):
        value = asked[chosen].groupby(["start", "checkpoint"])["exact_match"].mean()
        pretraining, task0 = ([("pretraining", step) for step in (1000, 2000, 3000)], [("task0", step) for step in (6, 14)])
        order = [("random", 0), *pretraining, ("pretrained", 0), *task0, ("task1", 0), ("task1", 150), ("task1", 4000)]
        assert np.allclose(line.get_ydata(), [value[place] for place in order])


def test_the_same_task_1_without_task_0_is_the_floor_of_its_checkpoints() -> None:
    """Another arm that never had Task 0 is left out, and so are checkpoints that `seq` was not recovered from."""
    world, at = World(0), {"seq": (0, 150, 4000), "seq-no-task0": (0, 60, 150, 4000)}
    facts = [world.recovery("controls", BEFORE_TASK1), *(world.recovery(arm, {"task1": steps}) for arm, steps in at.items())]
    facts.append(facts[1].assign(arm="freeze-2-no-task0"))
    lines = recovery_stages.draw(summarise(pd.concat(facts, ignore_index=True), KEYS, EXACT)).axes[0].lines
    found = {line.get_marker(): line for line in lines if line.get_linestyle() == ":"}
    assert set(found) == {"o", "^"} and all(list(line.get_xdata()) == [8, 9] for line in found.values())
    assert {line.get_color() for line in found.values()} == {style.arm_look("seq-no-task0").color}, "no other line has it"
    floor = facts[2][(facts[2]["split"] == "task0_test") & (facts[2]["training"] == "right")]
    for line, chosen in zip(lines[3:5], (np.isclose(floor["epochs"], 1), floor["step"] == 7), strict=True):
        value = floor[chosen].groupby("checkpoint")["exact_match"].mean()
        assert np.allclose(line.get_ydata(), value[[150, 4000]])


def test_a_checkpoint_that_one_seed_lacks_has_no_place() -> None:
    """Steps at which a seed learned Task 1 are its own: there is no mean of seeds, and the tick would have no mark."""
    facts = []
    for seed, stop in ((0, 2600), (1, 2950)):
        starts = {"task1": (0, 150, stop, 4000)}
        facts += [each.assign(seed=seed) for each in (World(seed).recovery("controls", BEFORE_TASK1), World(seed).recovery("seq", starts))]
    rows = pd.concat([summarise(each, KEYS, EXACT) for each in facts], ignore_index=True)
    labels = [label.get_text() for label in recovery_stages.draw(rows).axes[0].get_xticklabels()]
    assert labels[-3:] == ["end", "150", "4,000"]
