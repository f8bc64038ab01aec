from __future__ import annotations

import numpy as np
import pandas as pd
from tests.figures.synthetic import BEFORE_TASK1, World

from forgetting.figures import recovery_stages
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
    for line, chosen in zip(panel.lines, (np.isclose(asked["epochs"], 1), asked["step"] == 7, asked["step"] == 0), strict=True):
        value = asked[chosen].groupby(["start", "checkpoint"])["exact_match"].mean()
        pretraining, task0 = ([("pretraining", step) for step in (1000, 2000, 3000)], [("task0", step) for step in (6, 14)])
        order = [("random", 0), *pretraining, ("pretrained", 0), *task0, ("task1", 0), ("task1", 150), ("task1", 4000)]
        assert np.allclose(line.get_ydata(), [value[place] for place in order])
