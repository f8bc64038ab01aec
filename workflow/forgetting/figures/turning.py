"""Does the path of the weights turn at step 150?

**What it shows.** Where Task 1 changes direction, from its saved checkpoints alone, without any plane; and
how much of the path the loss landscape shows. All weights beside those of the blocks alone, because the
embeddings hold about half of the squared length.

**How to read it.** *a*, *b*: for every checkpoint, the cosine between the way so far (from the end of Task 0
to it) and the way that is left (from it to the end of Task 1). 1 all along is a straight path. The grey line
is what two straight stages that meet at step 150 would give, with the same three models at its ends and
corner as those of the first arm, seed by seed; of several seeds all lines are means. It touches the measured
line at 150 and rises on both sides. *c*: the share of the length of the way so far that lies in the plane of
the landscape, without the models that span it; it is close to 1 by
construction near step 150 and the end, which lie in the plane (open: the blocks of the first arm alone, in their own plane). Each
checkpoint has a mark; late ones lie far apart, with nothing measured on the straight lines between them.

**What to look for.** A dip at step 150. A line that passes 150 as it passes the steps around it says that
nothing happens to the direction there, and that the path leaves the horizontal of the landscape there is how the
plane was laid.

**What would contradict the claim** of two stages: a flat or steadily rising line in *a* and *b*. What would
support it: the grey line. A stage can also show in the losses and not in the direction; of that the
landscape and the performance figure tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.turning import two_straight_stages
from forgetting.data.points import EARLY_STEP, early_step
from forgetting.figures import style
from forgetting.statistics import CORRELATION, PROPORTION, Kind, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 2,
    "inputs": {
        "landscape": ["viewed"],
    },
}

_WEIGHTS: dict[str, dict[str, Any]] = {
    "all": {"linestyle": "-"},
    "blocks": {"linestyle": (0, (4, 1.5)), "markerfacecolor": "white"},
}
_TWO_STAGES: dict[str, Any] = {"color": "#767676", "linewidth": 2.2, "alpha": 0.7, "zorder": 1.2}


def draw(landscape: pd.DataFrame) -> Figure:
    """a, b: turning profile over all weights and over the blocks; c: share in the plane. Frame: LANDSCAPE."""
    paths = landscape[(landscape["kind"] == "trajectory") & (landscape["step"] > 0)].assign(low=np.nan, high=np.nan)
    arms = style.arm_order(paths["arm"])
    figure, axes = style.new_figure(1, 3, height=2.9)
    panels = axes[0]
    for panel, weights in zip(panels[:2], _WEIGHTS, strict=True):
        of_weights = paths[paths["weights"] == weights]
        reference = of_two_stages(of_weights[of_weights["arm"] == arms[0]])
        panel.plot(reference["step"], reference["value"], **_TWO_STAGES)
        _curves(panel, of_weights, "turn", arms, CORRELATION, {"linestyle": "-"})
        panel.set_ylim(min(0, of_weights["turn"].min()) - 0.05, 1.03)
    for weights, line in _WEIGHTS.items():
        drawn = arms if weights == "all" else arms[:1]  # those of the others lie upon one another
        _curves(panels[2], off_the_corners(paths[paths["weights"] == weights]), "in_plane", drawn, PROPORTION, line)
    panels[2].set_ylim(0, 1.03)
    labels = ("cos(way so far, way left)", "", "share of the length")
    for letter, panel, label, text in zip("abc", panels, labels, ("all weights", "blocks alone", "in the plane"), strict=True):
        panel.axvline(EARLY_STEP, color="#555555", linewidth=0.8, linestyle=":", zorder=1)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        panel.set_xlabel("Task 1 step")
        panel.set_ylabel(label)
        style.title(panel, letter, text)
    handles, first = style.arm_handles(arms), style.arm_look(arms[0])
    handles.append(style.line_handle(f"two straight stages ({first.label}; a, b)", **_TWO_STAGES))
    handles.append(style.line_handle(f"blocks alone ({first.label}; c)", first.color, marker=first.marker, **_WEIGHTS["blocks"]))
    style.legend(figure, handles, 3)
    style.note(figure, paths, f"Dotted upright: step {EARLY_STEP}. A cosine of 1 all along is a straight path.")
    return figure


def of_two_stages(paths: pd.DataFrame) -> pd.DataFrame:
    """The turning profiles of `two_straight_stages` of the seeds of `paths`, trajectories of one arm: columns step, value, the mean over
    the seeds where all have one, as of the measured lines."""
    profiles = [two_straight_stages(path).assign(seed=seed) for seed, path in paths.groupby("seed")]
    rows = pd.concat([pd.DataFrame(columns=["seed", "step", "turn"], dtype=float), *profiles]).rename(columns={"turn": "value"})
    return over_seeds(rows.assign(low=np.nan, high=np.nan).dropna(subset="value"), ["step"], paths["seed"].nunique(), kind=CORRELATION)


def off_the_corners(paths: pd.DataFrame) -> pd.DataFrame:
    """The rows without the models that span the plane, which lie in it whatever the path does."""
    spanning = {run: {early_step(steps), steps.max()} for run, steps in paths.groupby(["seed", "arm"])["step"]}
    runs = paths[["seed", "arm", "step"]].itertuples(index=False)
    corner = np.array([step in spanning[seed, arm] for seed, arm, step in runs], dtype=bool)
    return paths[~corner]


def _curves(panel: Axes, rows: pd.DataFrame, column: str, arms: list[str], kind: Kind, line: dict[str, Any]) -> None:
    for arm in arms:
        of_arm = rows[rows["arm"] == arm].drop(columns="value", errors="ignore").rename(columns={column: "value"}).dropna(subset="value")
        if len(of_arm):
            style.draw_curve(panel, of_arm, "step", style.arm_look(arm), kind=kind, markers=len(of_arm), markersize=3.2, **line)
