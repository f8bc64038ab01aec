"""How much of Task 0 does one epoch bring back at each learning rate of Task 1?

**What it shows.** The same sequential training on Task 1 at several learning rates.

**How to read it.** Each position on the horizontal axis is a complete run. *a*: Task 0 before Task 1, at the trough (the
lowest point of the first 150 steps, on validation persons) and at the step that learned Task 1, without any training on
Task 0. *b*: after one recovery epoch from these two; dashed, the pretrained model. Purple and open, at the rate of ``seq`` alone:
the same from the model that never had Task 0. A cross is a run that did not learn Task 1 (in every seed), at its end.
Marks of a rate stand side by side.

**What to look for.** Trough marks low in *a* and high in *b*, and how they sink in *b* as the rate rises. Compare only
filled diamonds with each other: these have learned Task 1 equally well.

**What would contradict the claim.** A trough that is deep in *a* and stays low in *b*: then one epoch does not bring back
what the early collapse took. A high mark in *b* shows nothing of Task 0 unless it is above its purple one. That was run
at one rate alone, so from which rate on a loss is real cannot be read here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.curves import collapse_by_rate
from forgetting.analysis.spurious import probe_points, task0_rows
from forgetting.data.points import EARLY_STEP, MATCHED, TROUGH, floor_of
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 2,
    "only_if": "learning_rate_arms",
    "inputs": {
        "metrics": ["rates", "without_task0"],
        "recovery": ["rates", "without_task0", "controls"],
        "floors": [],
    },
}

_MIDDLE, _DARK = "#A64D8A", "#4A1140"
_BEFORE = style.Look("#8C8C8C", "o", "before Task 1")
_POINTS = {
    TROUGH: style.Look(_MIDDLE, "v", f"trough (first {EARLY_STEP} steps)"),
    MATCHED: style.Look(_DARK, "D", "where Task 1 is learned"),
}


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Frames: METRICS of `seq`, its learning-rate arms and what never had Task 0, RECOVERY of these and the controls, METRICS floors."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if arm == "seq" or style.is_rate_arm(arm)]
    without_task0 = floor_of("seq", set(recovery["arm"]))
    found = collapse_by_rate(metrics[metrics["arm"].isin([*arms, without_task0])])
    runs, rates = found[found["arm"].isin(arms)], found[["seed", "arm", "rate"]].drop_duplicates()
    points = probe_points(metrics, recovery).merge(rates, on=["seed", "arm"])
    asked = task0_rows(recovery)
    of_task1 = points.merge(asked[asked["start"] == "task1"], on=["seed", "arm", "checkpoint"])
    figure, axes = style.new_figure(1, 2, height=3.4, sharex=True, sharey=True)
    first, second = axes[0]
    _series(first, runs[runs["name"] == "before"], _BEFORE)
    for panel in (first, second):
        style.draw_floor(panel, floors, "task0_test", "exact_match")
    beside = (runs["rate"].max() / runs["rate"].min()) ** 0.025
    for panel, epochs in ((first, 0), (second, 1)):
        rows = of_task1[np.isclose(of_task1["epochs"], epochs)]
        for point, look, aside in zip(_POINTS, _POINTS.values(), (-1, 1), strict=True):
            here = rows[rows["point"] == point]
            here = here.assign(rate=here["rate"] * beside**aside)
            _series(panel, here[here["arm"].isin(arms)], look)
            if without_task0:
                floor = style.arm_look(without_task0)._replace(marker=look.marker)
                floor_rows = here[here["arm"] == without_task0]
                _marks(panel, floor_rows.assign(rate=floor_rows["rate"] * beside**4), floor)
    pretrained = asked.loc[(asked["start"] == "pretrained") & np.isclose(asked["epochs"], 1), "value"].mean()
    second.axhline(pretrained, color=style.CONTROLS["pretrained"].color, linestyle=(0, (4, 1.5)))
    _finish(first, second, sorted(runs["rate"].unique()))
    control = style.line_handle("control: pretrained only (b)", style.CONTROLS["pretrained"].color, linestyle=(0, (4, 1.5)))
    handles = [style.line_handle(look.label, look.color, marker=look.marker) for look in (_BEFORE, *_POINTS.values())]
    if not of_task1.loc[of_task1["arm"].isin(arms), "learned"].all():
        text = f"Task 1 {style.unlearned(metrics['seed'].nunique())}: its end"
        handles.append(style.line_handle(text, _DARK, marker="x", linestyle="none"))
    purple = style.arm_handles([without_task0], marker="D", linestyle="none") if without_task0 else []
    style.legend(figure, [*handles, control, *purple, style.FLOOR_HANDLE], columns=3)
    style.note(figure, metrics)
    return figure


def _series(panel: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    """A line over the rates; crosses, which no line joins, where Task 1 was not learned in every seed (of the matched series only)."""
    learned = rows.groupby("rate")["learned"].transform("all") | (look is not _POINTS[MATCHED])
    merged = over_seeds(rows[learned], ["rate"], rows["seed"].nunique(), kind=PROPORTION)
    panel.plot(merged["rate"], merged["value"], color=look.color)
    _marks(panel, rows[learned], look)
    _marks(panel, rows[~learned], look._replace(marker="x"))


def _marks(panel: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    """The mean of each rate, and behind it each of few seeds."""
    for _, of_seed in style.single_seeds(rows):
        style.seed_dots(panel, of_seed["rate"], of_seed["value"], look)
    style.error_bars(panel, over_seeds(rows, ["rate"], kind=PROPORTION), "rate", look)


def _finish(first: Axes, second: Axes, rates: list[float]) -> None:
    style.accuracy_axis(first, "Task 0 exact match\n(share of answers, held-out persons)")
    first.set_xscale("log")
    for panel, letter, text in ((first, "a", "without recovery"), (second, "b", "after one epoch")):
        style.title(panel, letter, text)
        panel.set_xticks(rates, [f"{rate:.0e}".replace("e-0", "e-") for rate in rates])
        panel.set_xticks([], minor=True)
        panel.set_xlabel("Task 1 learning rate (log scale)")
