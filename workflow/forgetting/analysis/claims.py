"""Numbers behind claims of the paper that no other table has: the cancelled shift, the angles between stages, the opposed gradients,
the turn of the path.

Which claim each belongs to, where the paper makes it, and when it holds is said in docs/claims.yaml. Computed for each arm and seed from
the tables of the views; intervals are over seeds. (No torch.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forgetting.analysis.summary import combine_seeds
from forgetting.analysis.turning import turn_at_the_early_point, two_straight_stages
from forgetting.data.points import EARLY_STEP, TASK1_EARLY, TASK1_END
from forgetting.intervals import Interval
from forgetting.statistics import CORRELATION, RATIO, UNBOUNDED

COLUMNS = ["statistic", "arm", "about", "seeds", "value", "low", "high", "reference"]
FIRST_STEPS = 50
"""The steps of Task 1 that count as its first ones, for the opposition of gradients: most of the collapse lies within them."""
_Row = tuple[str, str, Interval, float]
"""Statistic, what it is in words, number, reference."""
_SPLIT = "task0_test"
_EMBEDDINGS = ("embedding", "output_embedding")
_UNKNOWN = (np.nan, np.nan)


def claims_table(features: pd.DataFrame, weights: pd.DataFrame, gradients: pd.DataFrame, landscape: pd.DataFrame) -> pd.DataFrame:
    """One row a statistic and arm: value with its interval, and the reference that it is read against (the mean over seeds).

    Frames: FEATURES, WEIGHTS, GRADIENTS and LANDSCAPE of the viewed arms. Of one seed an interval is known only where the tables have one.
    """
    keys = ["statistic", "arm", "about"]
    tables = []
    measures = (
        (features, shifts, RATIO),
        (weights, angles, UNBOUNDED),
        (gradients, oppositions, CORRELATION),
        (landscape, turns, UNBOUNDED),
    )
    for frame, measure, kind in measures:
        rows = [
            (seed, arm, name, about, *number, reference)
            for (seed, arm), run in frame.groupby(["seed", "arm"], sort=False)
            for name, about, number, reference in measure(run)
        ]
        runs = pd.DataFrame(rows, columns=["seed", "arm", "statistic", "about", "value", "value_low", "value_high", "reference"])
        runs = runs[runs["value"].notna()]
        if runs.empty:
            continue
        table = combine_seeds(runs, keys, ["value"], kind).rename(columns={"value_low": "low", "value_high": "high"})
        tables.append(table.merge(runs.groupby(keys, as_index=False)["reference"].mean(), on=keys))
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()).reindex(columns=COLUMNS)


def shifts(features: pd.DataFrame) -> Iterator[_Row]:
    """How far the mean state of the last layer moves, in standard deviations of the states before, on `task0_test` questions: in the first
    150 steps, over all of Task 1, and the second over the first. Were what comes after 150 steps unrelated to the first shift (at right
    angles to it), the ratio would be at least 1, its reference; below 1 the two cancel in part. Of one seed, the ends of the ratio are
    those that the two intervals leave."""
    rows = features[(features["metric"] == "relative_shift") & (features["split"] == _SPLIT) & (features["kind"] == "all")]
    last = rows[(rows["before"] == "task0") & (rows["layer"] == rows["layer"].max())].set_index("after")
    if not {TASK1_EARLY, TASK1_END} <= set(last.index):
        return
    early, whole = (Interval(*last.loc[after, ["value", "low", "high"]].astype(float)) for after in (TASK1_EARLY, TASK1_END))
    yield "shift_early", f"shift of the last layer in the first {EARLY_STEP} steps, standard deviations", early, np.nan
    yield "shift_whole", "shift of the last layer over all of Task 1, standard deviations", whole, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = Interval(*np.divide([whole.value, whole.low, whole.high], [early.value, early.high, early.low]).tolist())
    yield "shift_kept", f"shift over all of Task 1 / shift in the first {EARLY_STEP} steps", ratio, 1.0


def angles(weights: pd.DataFrame) -> Iterator[_Row]:
    """Mean angles between updates, in degrees less what a random update of the same singular values has.

    *beyond other layers*: less, besides, what the former update of the same component in another layer leaves (mean over the matrices of
    all blocks). A statistic of frozen matrices is left out.
    """
    rows = weights[weights["metric"] == "mean_angle"].assign(excess=lambda frame: frame["value"] - frame["chance"])

    def excess(former: str, latter: str) -> pd.DataFrame:
        return rows[(rows["former"] == former) & (rows["latter"] == latter)].set_index(["layer", "component"])

    def of_blocks(pair: pd.DataFrame, column: str = "excess") -> pd.Series:
        return pair.loc[~pair.index.get_level_values("component").isin(_EMBEDDINGS), column]

    def of_embedding(pair: pd.DataFrame) -> float:
        return float(pair["excess"].get((0, "embedding"), np.nan))

    def mean(values: pd.Series) -> float:
        return float(values.mean()) if len(values) and values.notna().all() else np.nan

    task0, early, late = excess("pretraining", "task0"), excess("task0", "task1_early"), excess("task1_early", "task1_late")
    for name, words, pair in (
        ("within_pretraining", "two stretches of pretraining", excess("pretraining_earlier", "pretraining")),
        ("task0_in_pretraining", "pretraining and Task 0", task0),
        ("early_in_task0", f"Task 0 and the first {EARLY_STEP} steps", early),
        ("late_in_early", f"the first {EARLY_STEP} steps and all later ones", late),
    ):
        found = of_blocks(pair)
        yield name, f"angle between {words}, blocks, degrees beyond chance", Interval(mean(found), *_UNKNOWN), 0.0
        beyond = Interval(mean(found - of_blocks(pair, "other_layers")), *_UNKNOWN)
        yield f"{name}_beyond_other_layers", f"angle between {words}, blocks, degrees beyond that of other layers", beyond, 0.0
        embedding = Interval(of_embedding(pair) - mean(found), *_UNKNOWN)
        about = f"angle between {words}, beyond chance, of the input embedding less that of the blocks, degrees"
        yield f"{name}_embedding", about, embedding, 0.0
    turned = Interval(mean(of_blocks(late)) - mean(of_blocks(early)), *_UNKNOWN)
    yield (
        "late_turns_away",
        f"angle of the later steps to the first {EARLY_STEP}, less that of these to Task 0, blocks, beyond chance",
        turned,
        0.0,
    )
    later = of_blocks(late)
    lower = np.array(
        [2 * (layer - 1) < len(set(later.index.get_level_values("layer"))) for layer in later.index.get_level_values("layer")], dtype=bool
    )
    bottom = Interval(mean(later[lower]) - mean(later[~lower]), *_UNKNOWN)
    yield (
        "late_bottom",
        f"angle of the later steps to the first {EARLY_STEP}, lower half of the blocks less the upper, beyond chance",
        bottom,
        0.0,
    )


def oppositions(gradients: pd.DataFrame) -> Iterator[_Row]:
    """Cosine of the gradients of both tasks at the end of Task 0 and over the first steps of Task 1 (mean over the kept checkpoints up to
    FIRST_STEPS), of all weights and of the blocks; reference: that with shuffled answers."""
    for part, words in (("all", "all weights"), ("blocks", "blocks")):
        rows = gradients[gradients["part"] == part]
        for name, when, chosen in (
            ("start", "at the end of Task 0", rows["step"] == 0),
            ("first_steps", f"mean over checkpoints of steps 1 to {FIRST_STEPS}", (rows["step"] > 0) & (rows["step"] <= FIRST_STEPS)),
        ):
            found = rows[chosen].groupby("comparison")["value"].mean()
            number = Interval(float(found.get("task0_task1", np.nan)), *_UNKNOWN)
            about = f"cosine of the gradients of Task 0 and Task 1, {words}, {when}"
            yield f"gradients_{name}_{part}", about, number, float(found.get("task0_shuffled", np.nan))


def turns(landscape: pd.DataFrame) -> Iterator[_Row]:
    """How much more the path of the weights turns at the early point than at the checkpoints around it, of all weights and of the blocks,
    in cosines of the way so far and the way that is left; reference: two straight stages that meet there."""
    paths = landscape[(landscape["kind"] == "trajectory") & (landscape["step"] > 0)]
    for part, words in (("all", "all weights"), ("blocks", "blocks")):
        path = paths[paths["weights"] == part]
        if len(path):
            about = f"cosine of the way so far and the way left, at step {EARLY_STEP} less around it, {words}"
            turn = Interval(turn_at_the_early_point(path), *_UNKNOWN)
            yield f"turn_{part}", about, turn, turn_at_the_early_point(two_straight_stages(path))
