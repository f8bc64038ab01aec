"""Are the gradients of the two tasks opposed?

**What it shows.** Whether what lowers the loss of Task 1 raises that of Task 0: the cosine between the
gradients of the two tasks at the checkpoints of the first steps of Task 1 and at its end, for all weights
(*a*) and for the blocks alone (*b*), since the embeddings hold most of the length of a gradient; and what is
left of it, for all weights, without what the form of the questions makes alike (*c*).

**How to read it.** Full line: Task 0 training questions against Task 1 questions. Below zero, a step that
lowers one loss raises the other; at zero, they do not touch each other to first order. Dashed, the ceiling:
what two gradients of one task have in common when they are of other persons (of both tasks, the geometric
mean, which there is none of where one of the two is negative: the line stops). *c* is the full line of *a* less the
same cosine for Task 1 questions with answers that belong to other persons (shuffled), which have the form of Task 1
and none of its facts; run by run, on a scale of its own. The end of each run stands in a column of its own, arms side
by side, since nothing was measured on the way there. All gradients are of equally many questions. Steps up to 10 are
evenly spaced, later ones by their logarithm. In the first steps arms may lie upon one another.

**What to look for.** The paper says that the gradients of both tasks are opposed in the first steps: full
lines below zero there, and lines below zero in *c*.

**What would contradict the claim.** Full lines at zero or above while Task 0 collapses: what harms Task 0 is
then no opposition of the two losses at that point, but the length of the steps, or their curvature. Lines in *c*
at zero: then the form of the questions decides, and not what they ask for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import CORRELATION, UNBOUNDED, Kind, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 6,
    "inputs": {
        "gradients": ["viewed"],
    },
}

_PARTS = {"all": "all weights", "blocks": "blocks alone"}
_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "task0_task1": ("Task 0 and Task 1", {"linewidth": 1.6}),
    "ceiling": ("ceiling: other persons of the same task", {"linewidth": 0.9, "linestyle": (0, (5, 2))}),
}
"""What is drawn for each arm, its key, and its line."""
_CEILING_MARK: dict[str, Any] = {"markersize": 2.5, "markerfacecolor": "white"}
_END = 3
"""How many times the last step of the lines the column of the ends stands at."""
_LINEAR_UP_TO = 10
"""Steps up to here are evenly spaced, later ones by their logarithm: both the first steps and the end are to be seen."""


def draw(gradients: pd.DataFrame) -> Figure:
    """One panel for all weights, one for the blocks, one for what shuffled answers leave. Frame: GRADIENTS of the viewed arms."""
    rows = with_ceiling(gradients)
    arms, seeds = style.arm_order(rows["arm"]), gradients["seed"].nunique()
    figure, axes = style.new_figure(1, 3, height=3.3, sharex=True)
    for panel, part in zip(axes[0], _PARTS, strict=False):
        _panel(panel, rows[rows["part"] == part], arms, seeds)
    _curves(axes[0, 2], beyond_floor(gradients), arms, seeds, UNBOUNDED, {"linewidth": 1.6}, 20)
    for letter, panel, text in zip("abc", axes[0], (*_PARTS.values(), "beyond shuffled"), strict=True):
        _steps(panel, _last_of_line(rows))
        style.title(panel, letter, text)
    axes[0, 1].sharey(axes[0, 0])
    axes[0, 1].tick_params(labelleft=False)
    axes[0, 0].set_ylabel("cosine of two gradients")
    axes[0, 2].set_ylabel("cosine less that of\nshuffled answers")
    axes[0, 1].set_xlabel(f"Task 1 step (log scale after {_LINEAR_UP_TO})")
    lines = [style.line_handle(text, **line) for text, line in _LINES.values()]
    lines[-1].set(marker="o", **_CEILING_MARK)
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.6, markersize=3.5), *lines], columns=4)
    style.small_print(figure, _note(gradients))
    return figure


def with_ceiling(gradients: pd.DataFrame) -> pd.DataFrame:
    """The rows of GRADIENTS with those of comparison `ceiling` in place of the two halves: the geometric mean of their cosines, which is
    what gradients of the two tasks would have if they differed by the choice of persons alone. NaN where a half is negative."""
    keys = ["scale", "seed", "arm", "step", "part", "layer", "n"]
    wide = gradients.pivot(index=keys, columns="comparison", values="value")
    both = wide["task0_halves"].where(wide["task0_halves"] >= 0) * wide["task1_halves"].where(wide["task1_halves"] >= 0)
    wide = wide.assign(ceiling=np.sqrt(both))[list(_LINES)]
    return wide.melt(ignore_index=False, var_name="comparison", value_name="value").reset_index()


def beyond_floor(gradients: pd.DataFrame) -> pd.DataFrame:
    """For all weights, the cosine of the two tasks' gradients less that with answers of other persons: `value` of each run and step."""
    wide = gradients[gradients["part"] == "all"].pivot(index=["seed", "arm", "step"], columns="comparison", values="value")
    return (wide["task0_task1"] - wide["task0_shuffled"]).rename("value").reset_index()


def _panel(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> None:
    for comparison, (_, line) in _LINES.items():
        kept = rows[rows["comparison"] == comparison]
        if comparison == "task0_task1":
            _curves(panel, kept, arms, seeds, CORRELATION, line, 20)
        else:
            _curves(panel, kept, arms, seeds, CORRELATION, line | _CEILING_MARK, 4, band=False)


def _curves(
    panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int, kind: Kind, line: dict[str, Any], markers: int, band: bool = True
) -> None:
    """A line for each arm over the first steps and a mark for the end, with their intervals over the seeds, of whose number all must be
    there."""
    column = _last_of_line(rows) * _END
    for arm, beside in zip(reversed(arms), style.side_by_side(len(arms))[::-1], strict=True):  # the first on top: others lie upon it
        look = style.arm_look(arm)
        found = over_seeds(rows[rows["arm"] == arm].assign(low=np.nan, high=np.nan), ["step"], seeds, kind=kind).sort_values("step")
        first, end = found[:-1], found[-1:]
        every = max(1, round(len(found) / markers))
        options: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": 3.5} | line
        panel.plot(first["step"], first["value"], **options | {"markevery": every})
        place = column * _END ** (2.5 * beside) * np.ones(len(end))
        panel.plot(place, end["value"], **options | {"linestyle": "none"})
        if band:
            panel.fill_between(first["step"], first["low"], first["high"], color=look.color, alpha=0.16, linewidth=0)
            panel.vlines(place, end["low"], end["high"], color=look.color, linewidth=0.9)


def _last_of_line(rows: pd.DataFrame) -> float:
    """The last step of any run but its end; where its logarithm begins, if none is later."""
    ends = rows.groupby("arm")["step"].transform("max")
    return max(float(rows.loc[rows["step"] < ends, "step"].max()), _LINEAR_UP_TO)


def _steps(panel: Axes, last: float) -> None:
    panel.axhline(0, color=style.MODAL_ANSWER, linewidth=0.8, zorder=1)
    panel.set_xscale("symlog", linthresh=_LINEAR_UP_TO, linscale=0.5)
    ticks = [tick for tick in (0, 10, 100, 1000, 10_000, 100_000) if tick <= last]
    panel.set_xticks([*ticks, last * _END], [*(f"{tick:,}" for tick in ticks), "end"])
    panel.set_xticks([], minor=True)
    panel.axvspan(last * _END**0.5, last * _END**1.5, color="#F0F0F0", zorder=0, linewidth=0)
    panel.set_xlim(-0.5, last * _END**1.5)


def _note(gradients: pd.DataFrame) -> str:
    seeds, questions = gradients["seed"].nunique(), int(gradients["n"].min())
    spread = (
        f"Lines: mean of {seeds} seeds; bands and bars: 95 % Student t interval over seeds." if seeds > 1 else "One seed, so no intervals."
    )
    return f"{spread} Each gradient is of the mean loss of {questions} questions, in evaluation mode."
