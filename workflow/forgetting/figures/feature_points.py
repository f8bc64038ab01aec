"""Which way do single questions move?

**What it shows.** States of single held-out Task 0 questions, which ask one person each for the university, in
the last layer at the last prompt token: after Task 0, at step 150 of Task 1 and at its end, in the plane of the
leading principal component after Task 0 and of the shift of the mean over the first 150 steps. One panel an
arm, of at most four; the first seed.

**How to read it.** Both axes are lengths in the residual stream, of the same scale. The vertical one is what the
shift of the mean over the first 150 steps has at a right angle to the leading component, so that going up to
step 150 is built in. What informs is the angle, for a mean that shifts at a right angle to the component goes
straight up, and the width of the clouds. Arrows join their means: to step 150 (solid) and on to the end (dashed).
How far a cloud goes may differ between seeds, so lengths of arms are not to be compared here but in the figure
of features, which has all seeds.

**What to look for.** A cloud that goes up as a whole and keeps its width: all questions shift alike, across
what told them apart. An end that comes back down: the early shift was taken back.

**What would contradict the paper.** A mean that moves along the horizontal axis rather than the vertical one in
the first 150 steps. A cloud that loses its width along the leading component is no mere shift, whatever the
mean does.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from forgetting.data.points import EARLY, END, WORDS
from forgetting.figures import style

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 2,
    "inputs": {
        "points": ["viewed"],
    },
}

_MOST_ARMS = 4
_CLOUDS = (("after Task 0", "o", style.CONTROL_LABEL), (f"at {WORDS[EARLY]}", "^", "#0072B2"), (f"at the {WORDS[END]}", "s", "#C44E00"))
"""Of each checkpoint: what it is called, its marker and its colour."""
_ARROWS: dict[str, Any] = {f"mean, to {WORDS[EARLY]}": "-", f"mean, on to the {WORDS[END]}": (0, (3, 1.5))}


def draw(points: pd.DataFrame) -> Figure:
    """One panel an arm, on equal axes. Frame: FEATURE_POINTS."""
    chosen = points[(points["seed"] == points["seed"].min()) & (points["layer"] == points["layer"].max())]
    arms = style.arm_order(points["arm"])[:_MOST_ARMS]
    figure, axes = style.new_figure(1, len(arms), height=4.4, sharex=True, sharey=True)
    for letter, panel, arm in zip("abcd", axes[0], arms, strict=False):
        _clouds(panel, chosen[chosen["arm"] == arm])
        style.title(panel, letter, style.arm_look(arm).label)
        panel.set_aspect("equal", adjustable="box")
        panel.set_xlabel("leading component")
    axes[0, 0].set_ylabel("along the shift of the mean\n(to step 150 up: built in)")
    handles = [
        style.line_handle(label, color, marker=marker, linestyle="none", markerfacecolor=face)
        for (label, marker, color), face in zip(_CLOUDS, _faces(), strict=True)
    ]
    handles += [style.line_handle(text, "#1A1A1A", linestyle=line) for text, line in zip(_ARROWS, _ARROWS.values(), strict=True)]
    style.legend(figure, handles, columns=3)
    what = f"Seed {points['seed'].min()} alone, layer {chosen['layer'].max()}, {chosen['unit'].nunique()} questions."
    style.small_print(figure, what)
    return figure


def _faces() -> list[str]:
    """Open marks for the clouds that lie over the first one."""
    return [_CLOUDS[0][2], "white", "none"]


def _clouds(panel: Axes, rows: pd.DataFrame) -> None:
    means = []
    for step, (_, marker, color), face in zip(sorted(rows["step"].unique()), _CLOUDS, _faces(), strict=True):
        here = rows[rows["step"] == step]
        mark: dict[str, Any] = {"marker": marker, "color": color, "markerfacecolor": face, "markersize": 3.2, "markeredgewidth": 0.7}
        panel.plot(here["leading_component"], here["mean_shift"], linestyle="none", alpha=0.6, **mark)
        means.append((here["leading_component"].mean(), here["mean_shift"].mean()))
    for start, end, line in zip(means, means[1:], _ARROWS.values(), strict=False):
        arrow: dict[str, Any] = {"arrowstyle": "->", "mutation_scale": 8, "shrinkA": 0, "shrinkB": 0, "linestyle": line, "linewidth": 1.1}
        panel.add_patch(FancyArrowPatch(start, end, color="#1A1A1A", zorder=3, **arrow))
