from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.analysis.probe_share import probe_over_ceiling

KEYS = {"seed": 0, "arm": "seq", "before": "task0", "after": "task0", "split": "task0_test"}


def rows(metric: str, layers: list[int], kinds: list[str], values: list[float], **others: float) -> pd.DataFrame:
    return pd.DataFrame(KEYS | {"metric": metric, "layer": layers, "kind": kinds, "value": values, **others})


def test_the_probe_is_measured_by_what_it_could_reach() -> None:
    layers, kinds = [1, 1, 2], ["major", "birthday", "major"]
    parts = [rows("probe_accuracy", layers, kinds, [0.1, 0.7, 0.0], chance=0.1)]
    parts += [rows("probe_ceiling", layers, kinds, [0.2, 1.0, 0.0])]
    found = probe_over_ceiling(pd.concat(parts))
    np.testing.assert_allclose(found[["value", "chance"]], [[0.8 / 1.2, 0.2 / 1.2], [np.nan, np.nan]])
    assert found["low"].isna().all()


def test_the_interval_is_that_of_all_attributes_over_the_ceiling() -> None:
    parts = [rows("probe_accuracy", [1, 1], ["major", "birthday"], [0.1, 0.7], chance=0.1)]
    parts += [rows("probe_ceiling", [1, 1], ["major", "birthday"], [0.2, 1.0])]
    parts += [rows("probe_accuracy", [1], ["all"], [0.4], chance=0.1, low=0.3, high=0.5), rows("probe_ceiling", [1], ["all"], [0.6])]
    found = probe_over_ceiling(pd.concat(parts))
    np.testing.assert_allclose(found[["value", "low", "high"]], [[0.4 / 0.6, 0.3 / 0.6, 0.5 / 0.6]])
