"""How much of what a linear probe could read at all it does read: its accuracy over its ceiling, from rows of FEATURES. (No torch.)"""

from __future__ import annotations

import pandas as pd

_KEYS = ["seed", "arm", "before", "after", "layer", "split"]
_PROBE = ("probe_accuracy", "probe_ceiling")


def probe_over_ceiling(features: pd.DataFrame) -> pd.DataFrame:
    """The mean probe_accuracy (and its chance) over the kinds, divided by the mean probe_ceiling; NaN where that is 0.

    That is the share of right answers among the questions that the probes could answer; a mean of the kinds' own quotients would give
    those with hardly any such question as much weight as the others. Interval: that of all kinds together, over units, with the
    ceiling held; NaN where the table has no row of kind `all`.
    """
    pooled = features["kind"] == "all"
    means = {name: rows.groupby(_KEYS)[["value", "chance"]].mean() for name, rows in features[~pooled].groupby("metric") if name in _PROBE}
    accuracy, ceiling = (means[name] for name in _PROBE)
    ends = features[pooled & (features["metric"] == "probe_accuracy")].set_index(_KEYS).reindex(columns=["low", "high"])
    quotient = accuracy.join(ends).div(ceiling["value"].where(ceiling["value"] > 0), axis=0)
    return quotient.reset_index().assign(metric="probe_accuracy", kind="all")
