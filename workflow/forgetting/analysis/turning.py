"""Does the path of the weights turn where the paper's first stage ends, as two straight stages would?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.data.points import early_step


def two_straight_stages(path: pd.DataFrame) -> pd.DataFrame:
    """The turning profile of two straight lines through the three models that span the plane: columns step, turn.

    `path`: the trajectory of one run. Of a step up to the corner, the point of the first line with the share of its alpha; of a later one
    the point of the second line with the share of its beta. With u the way to the corner and v the one from there to the end, only |u|,
    |v| and their cosine matter: |u|, |u + v| and the cosine at the corner are known.
    """
    rows = path.sort_values("step")
    if rows.empty:
        return pd.DataFrame({"step": [], "turn": []})
    by_step = rows.set_index("step")
    corner, end = by_step.loc[early_step(rows["step"])], by_step.iloc[-1]
    first, cosine = corner["distance"], corner["turn"]
    second = -first * cosine + np.sqrt(max((first * cosine) ** 2 - first**2 + end["distance"] ** 2, 0))
    u, v = np.array([first, 0.0]), second * np.array([cosine, np.sqrt(max(1 - cosine**2, 0))])
    turns = []
    for step, alpha, beta in rows[["step", "alpha", "beta"]].itertuples(index=False):
        share = alpha / corner["alpha"] if step <= corner.name else (beta - corner["beta"]) / (end["beta"] - corner["beta"])
        share = np.clip(share, 0, 1)
        at = share * u if step <= corner.name else u + share * v
        left = u + v - at
        lengths = np.linalg.norm(at) * np.linalg.norm(left)
        turns.append(at @ left / lengths if lengths > 1e-9 * end["distance"] ** 2 else np.nan)
    return pd.DataFrame({"step": rows["step"].to_numpy(), "turn": turns})


def turn_at_the_early_point(path: pd.DataFrame) -> float:
    """The turn at the early point less the mean of those at the checkpoints before and after it: below 0 the path turns away there more
    than around it. `path`: steps and turns of one run; NaN where one of the three has none."""
    rows = path.sort_values("step", ignore_index=True)
    at = int(rows.index[rows["step"] == early_step(rows["step"])][0])
    around = rows["turn"].reindex([at - 1, at + 1])
    return float(rows["turn"][at] - around.mean(skipna=False))
