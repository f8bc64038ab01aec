"""Numbers of one architecture, from curves and recoveries that are written down by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures.synthetic import MODELS, architectures

from forgetting.analysis.architectures import architectures_table, variant_numbers

TASK0 = {0: 0.9, 50: 0.1, 150: 0.2, 800: 0.6, 3000: 0.4}
CONTROL = {0: 0.0, 50: 0.2, 150: 0.3, 800: 0.1, 3000: 0.1}
RECOVERED = {"seq": 0.8, "seq-no-task0": 0.5}
UNITS = 100


def metrics_of(arm: str, task0: dict[int, float]) -> pd.DataFrame:
    rows = [(step, split, "exact_match", value) for step, value in task0.items() for split in ("task0_test", "task0_val")]
    rows += [(step, "task1", "exact_match", step / 3000) for step in task0]
    rows += [(3000, "train", "trained_parameters", 1234.0), (3000, "task1", "early_stop_step", 3000.0)]
    frame = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    return frame.assign(arm=arm, seed=0, kind="all", n=UNITS, low=frame["value"] - 0.01, high=frame["value"] + 0.01)


def facts_of(arm: str, task0: dict[int, float]) -> pd.DataFrame:
    """One question a unit; of a share the first so many are right."""
    frames = []
    for checkpoint, before in task0.items():
        for epochs, accuracy in ((0.0, before), (1.0, RECOVERED[arm])):
            right = np.arange(UNITS) < round(accuracy * UNITS)
            rows = pd.DataFrame({"unit": np.arange(UNITS), "exact_match": right})
            frames.append(rows.assign(checkpoint=checkpoint, epochs=epochs, step=int(60 * epochs)))
    return pd.concat(frames).assign(arm=arm, seed=0, split="task0_test", kind="birthday", start="task1", training="right", units=UNITS)


@pytest.fixture(scope="module")
def numbers() -> pd.DataFrame:
    metrics = pd.concat([metrics_of("seq", TASK0), metrics_of("seq-no-task0", CONTROL)])
    facts = pd.concat([facts_of("seq", TASK0), facts_of("seq-no-task0", CONTROL)])
    keys = ["arm", "seed", "checkpoint", "epochs", "start", "training"]
    recovery = facts.groupby(keys)["exact_match"].mean().reset_index(name="value")
    recovery = recovery.assign(split="task0_test", metric="exact_match", kind="all")
    return variant_numbers(metrics, recovery, facts).set_index("metric")


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("before", 0.9),
        ("trough", 0.1),
        ("peak", 0.6),
        ("control", 0.3),
        ("task1_final", 1.0),
        ("spurious_share_trough", (0.8 - 0.1) / (0.9 - 0.1)),
        ("spurious_share_end", (0.8 - 0.4) / (0.9 - 0.4)),
        ("floor_share_trough", (0.5 - 0.1) / (0.9 - 0.1)),
        ("floor_share_end", (0.5 - 0.4) / (0.9 - 0.4)),
    ],
)
def test_each_number_by_hand(numbers: pd.DataFrame, metric: str, value: float) -> None:
    found = numbers.loc[metric]
    assert found["value"] == pytest.approx(value)
    assert found["low"] <= found["value"] <= found["high"] and found["parameters"] == 1234


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_table_has_one_row_a_model_by_size(seeds: tuple[int, ...]) -> None:
    rows = architectures(seeds)
    table = architectures_table(rows).set_index("variant")
    assert list(table["parameters"]) == sorted(parameters for _, _, parameters in (MODELS[name] for name in MODELS))
    assert table.loc["gpt-neox", "trough"] == pytest.approx(0.2 + 0.01 * np.mean(seeds))
    assert table.loc["llama", "spurious_share_end"] == pytest.approx(0.8 - 0.08 + 0.01 * np.mean(seeds))
    lost_nothing = table.loc["gpt2"]
    assert np.isnan(lost_nothing["spurious_share_end"]) and lost_nothing["spurious_share_end_seeds"] == 0
