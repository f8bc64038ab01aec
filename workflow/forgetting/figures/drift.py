"""Does a model forget by as much as it moves on Task 1?

**What it shows.** Whether a model forgets Task 0 by as much as it moves on Task 1: forgetting against the
divergence between the model after Task 0 (θ*) and a checkpoint, at the answers of Task 1 questions.

**How to read it.** One line an arm, in the look of its method (GPM is a projection, a warm-up is of ``seq``), with
its checkpoints: step 150 (open), where Task 1 was learned (pale), the end (full). Across: KL divergence in nats per
answer token, of the checkpoint from θ* (*a*, large where θ* finds an answer likely and the checkpoint does not) and
of θ* from the checkpoint (*b*, large where the checkpoint is sure of what θ* finds unlikely, as of a learned Task 1
answer). Up: how much of the exact match on Task 0 test persons is lost at the same step. Below each panel:
Spearman's correlation over arms at each of the checkpoints. Arms that never had Task 0 do not start from θ* and are
left out.

**What to look for.** If moving away on Task 1 is what makes a model forget, all points, of all arms and
checkpoints, lie on one rising curve, and the correlations are high at each of the checkpoints. The fairest of
them is where Task 1 was learned: at the end there are also arms that hardly learned it, which neither move
nor forget.

**What would contradict the claim.** Lines that go to the right and down: the model moves on and forgets less.
Arms with the same divergence and very different losses. Correlations that change their sign between the
panels or the checkpoints. The arms are settings of a few methods and not independent, so the intervals are
too narrow rather than too wide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import rankdata

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY, END, MATCHED, WORDS, never_had_task0
from forgetting.figures import style
from forgetting.figures.fisher_angle import correlation
from forgetting.intervals import Interval
from forgetting.statistics import DIFFERENCE, RATIO, over_seeds

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 2,
    "inputs": {
        "drift": [],
        "metrics": ["compared"],
    },
}

_POINTS = {EARLY: (1.0, WORDS[EARLY]), MATCHED: (0.6, WORDS[MATCHED]), END: (0.0, WORDS[END])}
"""How much white is in the mark of a checkpoint, and its name."""
_METRICS = {"kl_from_theta_star": "KL(θ* ‖ checkpoint)", "kl_to_theta_star": "KL(checkpoint ‖ θ*)"}
ENOUGH_ARMS = 8
"""With fewer, samples of the bootstrap that hold two or three of them make its interval worthless."""
_ENDS = ["value", "low", "high"]


def draw(drift: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """One panel a direction; a line an arm through its checkpoints. Frames: DRIFT and METRICS of the task1 runs, of any arms."""
    points = forgetting_against_drift(drift[~drift["arm"].map(never_had_task0)], metrics)
    looks = style.method_looks(points["arm"])
    figure, axes = style.new_figure(1, 2, height=4.2, sharey=True)
    for letter, panel, (metric, text) in zip("ab", axes[0], _METRICS.items(), strict=True):
        _panel(panel, points[points["metric"] == metric], looks)
        style.title(panel, letter, text)
    axes[0, 0].set_ylabel("Task 0 exact match lost\n(share of answers)")
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linewidth=0.9) for look in dict.fromkeys(looks.values())]
    style.legend(figure, handles, columns=4)
    style.note(
        figure,
        drift,
        "Lost: exact match of Task 0 test persons after Task 0 minus that at the same step (of one seed its interval is "
        "that of the latter). ρ: Spearman correlation over arms, with a "
        "bootstrap interval over arms from 8 on.",
        shares=False,
    )
    return figure


def forgetting_against_drift(drift: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, point and direction (`metric`), over the seeds: KL on `task1` questions as value, low, high and the exact match lost
    on `task0_test` at the same step as lost, lost_low, lost_high. Raises ValueError where the metrics lack such a step."""
    rows = drift[(drift["split"] == "task1") & (drift["kind"] == "all")]
    known = task0_rows(metrics)[["seed", "arm", "step", *_ENDS]]
    before = known[known["step"] == 0].set_index(["seed", "arm"])["value"].rename("before")
    both = rows.merge(known, on=["seed", "arm", "step"], how="left", suffixes=("", "_after")).join(before, on=["seed", "arm"])
    missing = both[both[["value_after", "before"]].isna().any(axis=1)]
    if len(missing):
        where = missing[["seed", "arm", "step"]].drop_duplicates().to_dict("records")
        raise ValueError(f"the metrics have no Task 0 exact match at step 0, or none at {where}")
    lost = {f"{name}_lost": both["before"] - both[f"{end}_after"] for name, end in zip(_ENDS, ("value", "high", "low"), strict=True)}
    keys, seeds = ["arm", "point", "metric"], drift["seed"].nunique()
    drifts = over_seeds(both, keys, seeds, kind=RATIO)
    losses = over_seeds(both[["seed", *keys]].assign(**{name: lost[f"{name}_lost"] for name in _ENDS}), keys, seeds, kind=DIFFERENCE)
    return drifts.merge(losses.rename(columns={"value": "lost", "low": "lost_low", "high": "lost_high"}), on=keys)


def spearman(x: Iterable[float], y: Iterable[float]) -> Interval:
    """Spearman correlation of paired values, NaN for fewer than 3, and the percentile interval of a bootstrap over the pairs of ranks,
    NaN for fewer than ENOUGH_ARMS."""
    ranks = rankdata(list(x)), rankdata(list(y))
    found = correlation(*ranks)
    return found if len(ranks[0]) >= ENOUGH_ARMS else Interval(found.value, np.nan, np.nan)


def _panel(panel: Axes, points: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    for arm, look in looks.items():
        of_arm = points[points["arm"] == arm].set_index("point")
        of_arm = of_arm.loc[[point for point in _POINTS if point in of_arm.index]]
        panel.plot(of_arm["value"], of_arm["lost"], color=look.color, linewidth=0.6, alpha=0.4, zorder=1.5)
        for point, row in of_arm.iterrows():
            bars = {
                f"{axis}err": np.abs(np.array([[row[low]], [row[high]]], dtype=float) - row[name])
                for axis, name, low, high in (("x", "value", "low", "high"), ("y", "lost", "lost_low", "lost_high"))
            }
            panel.errorbar(
                row["value"], row["lost"], **bars, **_mark(str(point), look), markersize=3.5, elinewidth=0.4, capsize=0, linestyle="none"
            )
    panel.axhline(0, color=style.MODAL_ANSWER, linewidth=0.8, zorder=1)
    panel.set_xlim(left=0)
    panel.set_ylim(top=1.03)
    panel.set_xlabel("nats per answer token of Task 1 questions")
    style.legend_below(panel, _correlations(points), columns=1)


def _correlations(points: pd.DataFrame) -> list[Line2D]:
    """The key of the checkpoints, each with its correlation over arms."""
    handles = []
    for point, (_, text) in _POINTS.items():
        rows = points[points["point"] == point]
        found = spearman(rows["value"], rows["lost"])
        ends = "" if np.isnan(found.low) else f" [{found.low:.2f}, {found.high:.2f}]"
        words = f"{len(rows)} arms" if np.isnan(found.value) else f"ρ = {found.value:.2f}{ends}, {len(rows)} arms"
        handles.append(Line2D([], [], label=f"{text}: {words}", linestyle="none", **_mark(point, style.Look("#444444", "o", ""))))
    return handles


def _mark(point: str, look: style.Look) -> dict[str, Any]:
    """Open at the early point, pale where Task 1 was learned, full at the end."""
    white = _POINTS[point][0]
    fill = tuple(white + (1 - white) * part for part in to_rgb(look.color))
    return {"marker": look.marker, "color": look.color, "markerfacecolor": fill, "markeredgewidth": 0.8}
