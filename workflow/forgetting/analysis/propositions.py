"""What is to be said of the paper's propositions, by rules that look at intervals only. (No torch.)

A proposition is a conditional, so three things are asked apart: is its premise met; does it hold, in absolute terms, whatever the premise;
and is there more than chance would give? A conditional whose premise is not met does not apply, whatever is seen.

All statistics are about `task0_test` questions. With several seeds the interval is Student's t over seeds. With one it is over units, which
say nothing of the next run, so that the verdict is on this run; a number of weights has no interval then and is compared as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import cos, radians
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forgetting.data.points import TASK1_MATCHED
from forgetting.intervals import Interval, Z
from forgetting.schemas.theory import SPLIT, STREAM
from forgetting.statistics import CORRELATION, PROPORTION, RATIO, UNBOUNDED, Kind, normal_interval, over_seeds

NO_FREEZE = "seq"
_FREEZE = re.compile(r"freeze-(\d+)")
NEARLY_ORTHOGONAL = 75.0
"""Degrees from which an angle counts as nearly right. A convention, as the paper has no number: 1/15 of the squared length at most."""
_COSINE = cos(radians(NEARLY_ORTHOGONAL))

PREMISE_MET, HOLDS, MORE = "premise met?", "does it hold?", "more than chance?"
"""The three questions about a proposition."""
MET, NOT_MET, UNDECIDED = "premise met", "premise not met", "undecided"
DOES_NOT_APPLY = "does not apply"
IN_THIS_RUN = "in this run: "
PREDICTION = "prediction"
"""In place of a verdict where nothing is expected."""


class Statistic(NamedTuple):
    """What a proposition says about one number: that it is `expected` below or above `reference`, or nothing ("").

    yes, no: the verdict on that side of the reference, and on the other. chance: the name of the statistic that says whether there is
    more to it than chance. premise: of that without which it does not apply.
    """

    proposition: int
    asks: str
    name: str
    expected: str
    reference: float
    kind: Kind
    yes: str
    no: str
    chance: str = ""
    premise: str = ""


_FIRST, _LEADING = "the first principal component", "the leading components"
OF_WRITTEN = {
    metric: Statistic(1, PREMISE_MET, f"cosine of what updates write with {against}", "below", _COSINE, PROPORTION, MET, NOT_MET)
    for metric, against in (("written_along_first", _FIRST), ("written_along", _LEADING))
}
"""Metric of what updates write, and its statistic: the premise about the same components."""
WRITTEN_FIRST, WRITTEN = OF_WRITTEN.values()
_NEARER, _RANDOM = "nearer to a right angle than a random direction", "further from it than a random direction"
_SINGLE = "does not hold for single questions"


def _shift_statistics() -> Iterator[tuple[str, Statistic, Statistic]]:
    """Metric of the residual stream, and its two statistics: the cosine, and its square over that of a random direction."""
    for metric, what, against, refuted, premise in (
        ("mean_shift_along_first", "mean shift", _FIRST, "does not hold", WRITTEN_FIRST),
        ("mean_shift_along", "mean shift", _LEADING, "does not hold", WRITTEN),
        ("single_shifts_along_first", "single shifts", _FIRST, _SINGLE, WRITTEN_FIRST),
        ("single_shifts_along", "single shifts", _LEADING, _SINGLE, WRITTEN),
    ):
        ratio = f"share of {what} along {against} / chance"
        name = f"cosine of {what} with {against}"
        yield (
            metric,
            Statistic(1, HOLDS, name, "below", _COSINE, PROPORTION, "holds", refuted, ratio, premise.name),
            Statistic(1, MORE, ratio, "below", 1.0, RATIO, _NEARER, _RANDOM),
        )


OF_SHIFTS = {metric: (cosine, ratio) for metric, cosine, ratio in _shift_statistics()}
UPDATED = Statistic(2, PREMISE_MET, "share of layers that were updated", "above", 1.0, PROPORTION, MET, NOT_MET)
RELATIVE_DEPTH = Statistic(
    2, MORE, "rank correlation of shift / spread with layer", "above", 0.0, CORRELATION, "more than a random order", "falls with depth"
)
_GROWTH = "shift / spread of the last layer / that of the first"
GROWTH = Statistic(2, HOLDS, _GROWTH, "above", 1.0, RATIO, "holds", "does not hold", RELATIVE_DEPTH.name, UPDATED.name)
MOVED = Statistic(3, PREMISE_MET, "update of the layers that train / that of seq", "below", 1.0, RATIO, MET, NOT_MET)
AS_PREDICTED = Statistic(
    3, MORE, "shift of the last layer / predicted from the parts of seq", "below", 1.0, RATIO, "less than predicted", "more than predicted"
)
REDUCTION = Statistic(3, HOLDS, "shift of the last layer / that of seq", "below", 1.0, RATIO, "holds", "does not hold", premise=MOVED.name)
_SLOPE = "slope over n of the last layer's shift / that of seq"
SLOPE = Statistic(3, HOLDS, _SLOPE, "below", 0.0, UNBOUNDED, "holds", "does not hold", premise=MOVED.name)
PREDICTED_SLOPE = Statistic(3, HOLDS, "slope over n of the prediction from the parts of seq", "", 0.0, UNBOUNDED, "", "")
STATISTICS = (
    *OF_WRITTEN.values(),
    *(cosine for cosine, _ in OF_SHIFTS.values()),
    *(ratio for _, ratio in OF_SHIFTS.values()),
    *(UPDATED, GROWTH, RELATIVE_DEPTH),
    *(MOVED, REDUCTION, AS_PREDICTED, SLOPE, PREDICTED_SLOPE),
)
"""All of them, in the order in which they are told."""
_Row = tuple[str, Statistic, Interval]
"""Arm, statistic, number."""


def theory_verdicts(theory: pd.DataFrame) -> pd.DataFrame:
    """Rows of THEORY_VERDICTS from rows of THEORY of any arms and seeds. Proposition 3 needs `seq`, its slopes two freeze arms besides;
    it alone is told of where Task 1 is learned, too, for frozen arms need longer."""
    rows = []
    for (scale, seed, after), frame in theory[theory["split"] == SPLIT].groupby(["scale", "seed", "after"], sort=False):
        measured = [*([] if after == TASK1_MATCHED else _of_arms(frame)), *_of_freezing(frame)]
        rows += [(scale, seed, arm, after, statistic, *number) for arm, statistic, number in measured]
    keys = ["scale", "arm", "after", "of"]
    named = pd.DataFrame(rows, columns=["scale", "seed", "arm", "after", "of", "value", "low", "high"])
    seeds = theory["seed"].nunique()
    kinds = dict.fromkeys(statistic.kind for statistic in named["of"])
    by_kind = [over_seeds(named[[of.kind == kind for of in named["of"]]], keys, seeds, kind=kind) for kind in kinds]
    merged = pd.concat(by_kind or [named[[*keys, "value", "low", "high"]]], ignore_index=True)
    parts = [part.assign(verdict=_verdicts(part, seeds)) for _, part in merged.groupby(["scale", "arm", "after"], sort=False)]
    told = pd.concat(parts, ignore_index=True) if parts else merged.assign(verdict="")
    of = told["of"]
    told = told.assign(
        proposition=[statistic.proposition for statistic in of],
        asks=[statistic.asks for statistic in of],
        statistic=[statistic.name for statistic in of],
        reference=[statistic.reference for statistic in of],
    )
    return told.drop(columns="of")


def _verdicts(rows: pd.DataFrame, seeds: int) -> list[str]:
    """The verdict on each row of one arm and checkpoint (columns of, value, low, high), which hang together: see `judged`."""
    numbers = {row.of.name: Interval(row.value, row.low, row.high) for row in rows.itertuples(index=False)}
    found = {statistic.name: answer(statistic, numbers[statistic.name]) for statistic in rows["of"]}
    front = IN_THIS_RUN if seeds == 1 else ""
    return [front + judged(statistic, found) if statistic.expected else PREDICTION for statistic in rows["of"]]


def answer(statistic: Statistic, number: Interval) -> str:
    """`yes`, `no` or `undecided` of the statistic, by the side of the reference on which its interval lies. A number without one is exact,
    and at the reference it is on the expected side. Empty where nothing is expected."""
    low, high = (number.value if np.isnan(end) else end for end in number[1:])
    exact = np.isnan(number.low)
    below = high < statistic.reference or (exact and high == statistic.reference and statistic.expected == "below")
    above = low > statistic.reference or (exact and low == statistic.reference and statistic.expected == "above")
    if not statistic.expected:
        return ""
    if not (below or above):
        return UNDECIDED
    return statistic.yes if below == (statistic.expected == "below") else statistic.no


def judged(statistic: Statistic, found: Mapping[str, str]) -> str:
    """The verdict on a statistic from the answers of all, by name, of one arm and checkpoint.

    What holds by the number `holds, no better than a random direction` where its square may be that of chance, and `worse` where it is
    surely larger (proposition 2: `than a random order`). Where the premise is not met it `does not apply`, and what is seen comes behind.
    """
    said = found[statistic.name]
    if statistic.asks != HOLDS:
        return said
    comparative = _BESIDE_CHANCE.get(found.get(statistic.chance, ""))
    if said == statistic.yes and comparative:
        said += f", {comparative} than a random {'direction' if statistic.proposition == 1 else 'order'}"
    return f"{DOES_NOT_APPLY} ({said})" if found.get(statistic.premise) == NOT_MET else said


_BESIDE_CHANCE = {UNDECIDED: "no better", _RANDOM: "worse", RELATIVE_DEPTH.no: "worse"}


def _of_arms(frame: pd.DataFrame) -> Iterator[_Row]:
    """Propositions 1 and 2 for every arm of one seed and checkpoint."""
    for name, rows in frame.groupby("arm", sort=False):
        arm, stream = str(name), rows[rows["component"] == STREAM]
        for metric, premise in OF_WRITTEN.items():
            written = rows[rows["metric"] == metric]
            if len(written):
                yield arm, premise, Interval(float(np.sqrt(written["value"].mean())), np.nan, np.nan)
        for metric, (cosine, ratio) in OF_SHIFTS.items():
            shares = stream[stream["metric"] == metric]
            if len(shares):
                share, chance = over_layers(shares), float(shares["chance"].mean())
                yield arm, cosine, Interval(*(float(np.sqrt(number)) for number in share))
                yield arm, ratio, Interval(*(number / chance for number in share))
        yield from ((arm, *found) for found in _of_depth(stream))


def over_layers(rows: pd.DataFrame) -> Interval:
    """Mean over layers of a share, and of the ends of its interval, as if all layers erred together: they are asked of the same units."""
    value, low, high = (float(rows[name].mean()) for name in ("value", "low", "high"))
    return Interval(value, min(low, value), max(high, value))


def _of_depth(stream: pd.DataFrame) -> Iterator[tuple[Statistic, Interval]]:
    """Proposition 2 for one arm. The ends of the quotient are those that the intervals of both layers leave."""
    own = stream[(stream["metric"] == "own_norm") & (stream["layer"] > 0)]
    if len(own):
        yield UPDATED, Interval(float((own["value"] > 0).mean()), np.nan, np.nan)
    sizes = stream[(stream["metric"] == "relative_shift_norm") & (stream["layer"] > 0)].sort_values("layer")
    if len(sizes) > 1 and (first := sizes.iloc[0])["value"] > 0:
        last = sizes.iloc[-1]
        yield GROWTH, Interval(last["value"] / first["value"], last["low"] / first["high"], last["high"] / first["low"])
    for row in stream[stream["metric"] == "relative_depth_correlation"].itertuples():
        yield RELATIVE_DEPTH, Interval(row.value, row.low, row.high)


def freeze_depth(arm: str) -> int | None:
    """n of the arm freeze-n; None for other arms."""
    found = _FREEZE.fullmatch(arm)
    return int(found[1]) if found else None


def updates_over_seq(frame: pd.DataFrame, arm: str) -> float:
    """How far the matrices moved that `arm` trained, over how far those of `seq` did: lengths over all of them. Rows of THEORY of one seed
    and checkpoint; NaN where `seq` or the arm has none."""
    moved = frame[frame["metric"] == "update_norm"].pivot_table(index=["layer", "component"], columns="arm", values="value")
    if not {arm, NO_FREEZE} <= set(moved):
        return np.nan
    both = moved[[arm, NO_FREEZE]].dropna()
    return float(np.linalg.norm(both[arm]) / np.linalg.norm(both[NO_FREEZE])) if len(both) else np.nan


def predicted_reductions(frame: pd.DataFrame) -> pd.Series:
    """By number n of frozen layers, the shift of the last layer over that of `seq` as the parts of `seq` predict it, 1 with none frozen:
    what its bound would be without the parts of the frozen layers, over its bound. Rows of THEORY of one seed and checkpoint."""
    rows = frame[(frame["component"] == STREAM) & (frame["arm"] == NO_FREEZE)].sort_values("layer")
    bound = rows[rows["metric"] == "shift_bound"]["value"]
    predicted = rows[rows["metric"] == "predicted_if_frozen"].set_index("layer")["value"]
    return predicted / bound.iloc[-1] if len(bound) else predicted.iloc[:0]


def _of_freezing(frame: pd.DataFrame) -> Iterator[_Row]:
    """Proposition 3 for one seed and checkpoint: every freeze arm against `seq`, and the slope over n.

    An arm that freezes all layers is left out: its last layer cannot move.
    """
    stream = frame[frame["component"] == STREAM]
    last = stream[(stream["metric"] == "shift_norm") & (stream["layer"] == stream["layer"].max())].set_index("arm")
    if NO_FREEZE not in last.index or not last.loc[NO_FREEZE, "value"]:
        return
    unit = float(last.loc[NO_FREEZE, "value"])
    depth = {arm: n for arm in last.index if (n := freeze_depth(arm)) is not None and n < stream["layer"].max()}
    shifts = last.loc[list(depth), ["value", "low", "high"]] / unit
    unit_error = (last.loc[NO_FREEZE, "high"] - last.loc[NO_FREEZE, "low"]) / (2 * Z * unit)
    errors = ((shifts["high"] - shifts["low"]) / (2 * Z)).to_numpy()
    predicted = predicted_reductions(frame)
    for (name, value), error in zip(shifts["value"].items(), errors, strict=True):
        arm = str(name)
        low, high = normal_interval(value, np.hypot(error, value * unit_error), RATIO)
        yield arm, REDUCTION, Interval(value, float(low), float(high))
        if not np.isnan(moved := updates_over_seq(frame, arm)):
            yield arm, MOVED, Interval(moved, np.nan, np.nan)
        if (expected := predicted.get(depth[arm])) is not None:
            yield arm, AS_PREDICTED, Interval(value / expected, float(low) / expected, float(high) / expected)
    if len(shifts) < 2:
        return
    depths = np.array(list(depth.values()), dtype=float)
    yield "freeze", SLOPE, slope(depths, shifts["value"].to_numpy(), errors)
    if len(predicted):
        fitted = slope(depths, predicted.loc[depths.astype(int)].to_numpy(), np.full(len(depths), np.nan))
        yield "freeze", PREDICTED_SLOPE, fitted


def slope(x: NDArray[np.float64], y: NDArray[np.float64], errors: NDArray[np.float64]) -> Interval:
    """Least-squares slope of y on x, with the normal interval that standard `errors` of y give if they are independent.

    Arms are asked the same questions, so their errors are alike rather than independent, which makes the interval too wide, not too narrow.
    """
    weights = (x - x.mean()) / np.square(x - x.mean()).sum()
    value, half = float(weights @ y), Z * float(np.sqrt(np.square(weights) @ np.square(errors)))
    return Interval(value, value - half, value + half)
