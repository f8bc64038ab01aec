"""Are updates and shifts nearly at right angles to the leading components?

**What it shows.** The first proposition of the paper, its premise and its conclusion apart, at the last prompt
token of held-out Task 0 questions. If what an update writes to the residual stream avoids the first principal
component of the stream there (*a*), then the states shift nearly at right angles to it (*b*: their mean, which
is what the paper draws). *c* and *d*: the same of all leading components. Single questions stand in the table
below.

**How to read it.** Angles by layer, counted from 1; solid lines for Task 0 to step 150, dashed ones for Task 0
to the end. 90 degrees is a right angle; above the grey line, 75 degrees, an angle counts here as nearly right,
which is a convention. Dotted: the angle of a random direction, with the middle 95 % of such directions in grey.
A layer that did not move has no point. A share that is within its error of none is drawn at 90 degrees; *a* and
*c* are of one run's weights and have no interval. In *a* and *c* both matrices of a block that write to the
stream are taken together.

**What to look for.** Lines of *a* above 75 degrees: the premise is met for the first component. Lines of *b*
above 75 degrees: what the proposition says is seen. Points above the grey band as well: there is more to it
than the number of dimensions. Where *a* lies below 75 degrees the proposition does not apply, whatever *b*
shows. Likewise *c* is the premise of *d*: it may be met for one row and not for the other.

**What would contradict the theory.** *a* near 90 degrees with *b* well below 75, or *c* with *d*. A premise
that is not met, and angles as a random direction has, do not contradict it; they leave it without work to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.propositions import NEARLY_ORTHOGONAL
from forgetting.figures import style
from forgetting.figures.by_layer import STAGE_HANDLES, STAGES, layer_axis
from forgetting.schemas.theory import SPLIT
from forgetting.statistics import Kind

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 4,
    "inputs": {
        "theory": ["main"],
    },
}

_PANELS = {
    "written_along_first": "what updates write",
    "mean_shift_along_first": "mean shift",
    "written_along": "what updates write",
    "mean_shift_along": "mean shift",
}
_ROWS = ("angle to the first\ncomponent (degrees)", "angle to all leading\ncomponents (degrees)")
_DEGREES = Kind(0, 90)
_RANDOM: dict[str, Any] = {"color": style.CONTROL_LABEL, "linestyle": ":", "linewidth": 1.1}
_LEVEL: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 0.8}


def draw(theory: pd.DataFrame) -> Figure:
    """One panel a metric, by layer. Frame: THEORY."""
    rows = theory[(theory["split"] == SPLIT) & (theory["layer"] > 0)]
    arms = style.arm_order(rows["arm"])
    figure, axes = style.new_figure(2, 2, height=4.6, sharex=True, sharey=True)
    for letter, panel, (metric, text) in zip("abcd", axes.flat, _PANELS.items(), strict=True):
        _angles(panel, in_degrees(rows[rows["metric"] == metric]), arms)
        style.title(panel, letter, text)
    lowest = min((np.nanmin(line.get_ydata()) for panel in axes.flat for line in panel.lines if len(line.get_ydata())), default=60)
    axes[0, 0].set_ylim(min(60, 10 * np.floor(lowest / 10)), 90.5)
    for panel, label in zip(axes[:, 0], _ROWS, strict=True):
        panel.set_ylabel(label)
    for panel in axes[1]:
        layer_axis(panel, rows)
    marks = [style.line_handle("random direction", **_RANDOM), style.line_handle(f"{NEARLY_ORTHOGONAL:g} degrees", **_LEVEL)]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *STAGE_HANDLES, *marks], columns=4)
    style.note(figure, rows)
    return figure


def in_degrees(rows: pd.DataFrame) -> pd.DataFrame:
    """Shares of a squared length as angles, the mean over the matrices of a layer. The ends of intervals change places."""
    keys = ["seed", "arm", "after", "layer"]
    ends = {"value": "value", "low": "high", "high": "low", "chance": "chance", "chance_low": "chance_high", "chance_high": "chance_low"}
    shares = rows.groupby(keys, as_index=False)[list(ends)].mean()
    return shares.assign(**{name: np.degrees(np.arccos(np.sqrt(shares[share]))) for name, share in ends.items()})


def _angles(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    for arm in arms:
        for stage, line in STAGES.items():
            chosen = rows[(rows["arm"] == arm) & (rows["after"] == stage)]
            if len(chosen):
                style.draw_curve(panel, chosen, "layer", style.arm_look(arm), kind=_DEGREES, markers=20, **line)
    columns = {"chance": "mean", "chance_low": "min", "chance_high": "max"}
    chance = rows.groupby("layer")[list(columns)].agg(columns)
    panel.plot(chance.index, chance["chance"], **_RANDOM)
    panel.fill_between(chance.index, chance["chance_low"], chance["chance_high"], color=style.MODAL_ANSWER, alpha=0.2, linewidth=0)
    panel.axhline(NEARLY_ORTHOGONAL, **_LEVEL)
