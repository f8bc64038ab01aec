"""Are updates and shifts nearly at right angles to the leading components?

**What it shows.** The first proposition of the paper, its premise and its conclusion apart, at the last prompt
token of held-out Task 0 questions. If what an update writes to the residual stream avoids the first principal
component of the stream there (*a*), then the states shift nearly at right angles to it (*b*: their mean, which
is what the paper draws). *c* and *d*: the same of all leading components. Single questions stand in the table
below.

**How to read it.** Angles by layer, counted from 1; each row has its own axis, of the angles that occur in it. 90
degrees is a right angle; above the grey line, 75 degrees, an angle counts here as nearly right, which is a
convention. Dotted: the angle of a random direction, with the middle 95 % of such directions in grey. *a* and *c*:
Task 0 to step 150 (solid, filled) and to the end (dashed, open), both matrices of a block that write to the stream
taken together; they are of weights, so one run has no interval. *b* and *d*: step 150 alone, arms side by side at
each layer; the end is in the table below, for all layers together. Open, with a caret: a share that is within its
error of none, drawn at 90 degrees and not joined to the others; its bar, where it is wider than the mark, goes down
to what it may be. A layer that did not move has no point: freezing leaves out the frozen ones.

**What to look for.** Lines of *a* above 75 degrees: the premise is met for the first component. Marks of *b*
above 75 degrees: what the proposition says is seen. Above the grey band as well: there is more to it than the
number of dimensions. Below the grey band of *a* or *c*: updates write more along the leading components than by
chance, which speaks against the premise. Where *a* lies below 75 degrees the proposition does not apply,
whatever *b* shows. Likewise *c* is the premise of *d*: it may be met for one row and not for the other.

**What would contradict the theory.** *a* near 90 degrees with *b* well below 75, or *c* with *d*. A premise
that is not met, and angles as a random direction has, do not contradict it; they leave it without work to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETUPBASE
from matplotlib.patches import Patch

from forgetting.analysis.propositions import NEARLY_ORTHOGONAL
from forgetting.data.points import TASK1_EARLY
from forgetting.figures import style
from forgetting.figures.by_layer import STAGE_FACES, STAGES, layer_axis, stage_handles
from forgetting.schemas.theory import SPLIT
from forgetting.statistics import Kind, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 4,
    "inputs": {
        "theory": ["main"],
    },
}

_PANELS = {
    "written_along_first": "updates, first component",
    "mean_shift_along_first": "mean shift, first component",
    "written_along": "updates, all leading",
    "mean_shift_along": "mean shift, all leading",
}
_ROWS = ("angle to the first\ncomponent (degrees)", "angle to all leading\ncomponents (degrees)")
_DEGREES = Kind(0, 90)
_DODGE = 0.6
"""What all arms together take of the distance between two layers."""
_RANDOM: dict[str, Any] = {"color": style.CONTROL_LABEL, "linestyle": ":", "linewidth": 1.1}
_RANGE: dict[str, Any] = {"color": style.MODAL_ANSWER, "alpha": 0.2, "linewidth": 0}
_LEVEL: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 0.8}
_CARET: dict[str, Any] = {"marker": CARETUPBASE, "markersize": 4, "linestyle": "none"}
_ABOVE = 1.0
"""Of a caret over its mark, in degrees."""


def draw(theory: pd.DataFrame) -> Figure:
    """One panel a metric, by layer. Frame: THEORY."""
    rows = theory[(theory["split"] == SPLIT) & (theory["layer"] > 0)]
    arms, seeds = style.arm_order(rows["arm"]), rows["seed"].nunique()
    figure, axes = style.new_figure(2, 2, height=4.8, sharex=True, sharey="row")
    lowest = []
    for letter, panel, (metric, text) in zip("abcd", axes.flat, _PANELS.items(), strict=True):
        angles = in_degrees(rows[rows["metric"] == metric])
        if metric.startswith("mean_shift"):
            angles = angles[angles["after"] == TASK1_EARLY]
        _random(panel, angles)
        lowest += [_angles(panel, angles, arms, seeds)]
        style.title(panel, letter, text)
    for panel, label, angle in zip(axes[:, 0], _ROWS, np.reshape(lowest, (2, 2)).min(axis=1), strict=True):
        panel.set_ylabel(label)
        panel.set_ylim(5 * np.floor(min(angle, NEARLY_ORTHOGONAL - 1) / 5), 90 + 2.5 * _ABOVE)
    for panel in axes[1]:
        layer_axis(panel, rows)
    marks = [
        style.line_handle("random direction", **_RANDOM),
        Patch(label="middle 95 % of random ones", **_RANGE),
        style.line_handle(f"{NEARLY_ORTHOGONAL:g} degrees", **_LEVEL),
    ]
    if any(line.get_marker() == CARETUPBASE and len(line.get_xdata()) for panel in axes.flat for line in panel.lines):
        marks += [style.line_handle("within its error of 90 (b, d)", marker="o", markerfacecolor="white", linestyle="none")]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *stage_handles(), *marks], columns=4)
    style.note(figure, rows, intervals="bars (b, d)" if seeds == 1 else "bars", shares=False)
    return figure


def in_degrees(rows: pd.DataFrame) -> pd.DataFrame:
    """Shares of a squared length as angles, the mean over the matrices of a layer. The ends of intervals change places."""
    keys = ["seed", "arm", "after", "layer"]
    ends = {"value": "value", "low": "high", "high": "low", "chance": "chance", "chance_low": "chance_high", "chance_high": "chance_low"}
    shares = rows.groupby(keys, as_index=False)[list(ends)].mean()
    return shares.assign(**{name: np.degrees(np.arccos(np.sqrt(shares[share]))) for name, share in ends.items()})


def _angles(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> float:
    """The angles of each arm beside those of the others, and the lowest of all that is drawn."""
    lowest = [90.0]
    for number, arm in enumerate(arms):
        look, beside = style.arm_look(arm), _DODGE * ((number + 0.5) / len(arms) - 0.5)
        for stage, line in STAGES.items():
            chosen = rows[(rows["arm"] == arm) & (rows["after"] == stage)]
            if chosen.empty:
                continue
            for _, of_seed in style.single_seeds(chosen):
                style.seed_dots(panel, of_seed["layer"] + beside, of_seed["value"], look)
            found = over_seeds(chosen, ["layer"], seeds, kind=_DEGREES)
            found = found.assign(place=found["layer"] + beside)
            none = found["value"] >= 90
            panel.plot(found["place"], found["value"].mask(none), color=look.color, linewidth=0.9, **line)
            style.error_bars(panel, found[~none], "place", look._replace(face=STAGE_FACES[stage]))
            style.error_bars(panel, found[none], "place", look, markerfacecolor="white")
            panel.plot(found["place"][none], found["value"][none] + _ABOVE, color=look.color, **_CARET)
            lowest += [found[["value", "low"]].min(axis=None)]
    return np.nanmin(lowest)


def _random(panel: Axes, rows: pd.DataFrame) -> None:
    columns = {"chance": "mean", "chance_low": "min", "chance_high": "max"}
    chance = rows.groupby("layer")[list(columns)].agg(columns)
    if len(chance):  # beyond the outer layers, too, beside which arms have their marks
        places = np.r_[chance.index.min() - _DODGE / 2, chance.index, chance.index.max() + _DODGE / 2]
        mean, low, high = (np.pad(chance[column].to_numpy(), 1, mode="edge") for column in columns)
        panel.plot(places, mean, **_RANDOM)
        panel.fill_between(places, low, high, **_RANGE)
    panel.axhline(NEARLY_ORTHOGONAL, **_LEVEL)
