"""Is recovery a way back?

How far one epoch of recovery goes, and where to, in weight space. *distance*: from the end of Task 0 to the
model of Task 1 that recovery starts from, the trough or the end; *recovered length*: what recovery adds to
that; *recovered distance*: from the end of Task 0 to the recovered weights; *way back*: cosine of what
recovery adds with the straight way back to the end of Task 0 (1: it goes back; 0: it goes elsewhere, which is
what two unrelated directions of so many weights have). Over *all* weights, and over those of the *blocks*.
*barrier*: how far the loss of Task 0 rises on the straight line between the end of Task 0 and the recovered
weights, above that of its higher end; a barrier of 0 says that no hill is on that line.

**What would contradict** that recovery undoes what Task 1 did: a cosine near 0, or recovered weights as far
from the end of Task 0 as the model that recovery started from. With a barrier of 0 they are then another
point of the same flat region, if their loss is as low: from the end of Task 1 recovery may be partial.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.analysis.summary import combine_seeds
from forgetting.intervals import Z

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 1,
    "inputs": {
        "landscape": ["viewed"],
        "interpolation": ["viewed"],
    },
}

_STARTS = {"recovery_trough": ("trough", "trough"), "recovery_end": ("end", "end of Task 1")}
_VALUES = ["distance", "recovered_length", "recovered_distance", "way_back", "barrier"]


def make(landscape: pd.DataFrame, interpolation: pd.DataFrame) -> pd.DataFrame:
    """One row an arm with recovered weights, a start and a part of the weights. Frames: LANDSCAPE, INTERPOLATION."""
    keys = ["seed", "arm", "kind", "weights"]
    paths = landscape[landscape["kind"].isin(list(_STARTS))].sort_values("epochs")
    begun = paths[paths["epochs"] == 0].set_index(keys)["distance"]
    last = paths[paths["epochs"] > 0].groupby(keys).tail(1).set_index(keys)
    runs = last[["recovered_length", "way_back"]].assign(recovered_distance=last["distance"], distance=begun).reset_index()
    if runs.empty:
        return pd.DataFrame(columns=["arm", "from", "weights", "seeds", *_VALUES])
    runs["segment"] = "task0_" + runs["kind"].map({kind: name for kind, (name, _) in _STARTS.items()}) + "_recovered"
    runs = runs.merge(_barriers(interpolation), on=["seed", "arm", "segment"], how="left")
    # What is known of all weights only is told once.
    runs.loc[runs["weights"] != "all", ["barrier", "barrier_low", "barrier_high"]] = np.nan
    arms = list(dict.fromkeys(landscape["arm"]))
    runs = runs.assign(arm=pd.Categorical(runs["arm"], arms), kind=pd.Categorical(runs["kind"], list(_STARTS)))
    runs = runs.sort_values(["arm", "kind", "weights", "seed"]).astype({"arm": str, "kind": str})
    runs = runs.assign(**{"from": runs["kind"].map({kind: text for kind, (_, text) in _STARTS.items()})})
    return combine_seeds(runs, ["arm", "from", "weights"], _VALUES).drop(columns="barrier_seeds", errors="ignore")


def _barriers(interpolation: pd.DataFrame) -> pd.DataFrame:
    """seed, arm, segment and barrier of the Task 0 loss with its interval over units."""
    rows = interpolation[(interpolation["metric"] == "barrier") & (interpolation["split"] == "task0_test")]
    half = Z * rows["error"]
    rows = rows.assign(barrier=rows["value"], barrier_low=(rows["value"] - half).clip(lower=0), barrier_high=rows["value"] + half)
    return rows[["seed", "arm", "segment", "barrier", "barrier_low", "barrier_high"]]
