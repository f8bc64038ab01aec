"""Losses and barriers on straight lines between the ends of Task 0, of Task 1 and of recovery.

**What it shows.** Losses and accuracies of both tasks on three straight lines through weight space: from the
end of Task 0 to the end of Task 1, from there to the weights after one epoch of recovery, and from the end of
Task 0 to the recovered weights.

**How to read it.** The position on a line goes from 0 to 1. The *barrier* in each panel is how far the loss
rises above that of the higher end on the way, with its 95 % interval over persons: zero means that no hill
separates the two.

**What to look for.** No barrier between the end of Task 1 and the recovered weights, nor between the end of
Task 0 and the recovered ones: recovery then stays in one basin, as it should if little had to be learned
again.

**What would contradict the claim.** A barrier between the end of Task 0 and the recovered weights whose
interval is well above zero: recovery has then found another solution instead of going back to the old one. A
straight line is only one way between two points; that it has no barrier says nothing about other ways.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import PROPORTION, RATIO, Kind, normal_interval, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 2,
    "inputs": {
        "interpolation": ["viewed"],
    },
}

SEGMENTS = {
    "task0_task1": ("end of Task 0", "end of Task 1"),
    "task1_recovered": ("end of Task 1", "recovered"),
    "task0_recovered": ("end of Task 0", "recovered"),
}
_ROWS = {
    ("loss", "task0_test"): "Task 0, held-out\nnats per answer token",
    ("loss", "task1"): "Task 1\nnats per answer token",
    ("exact_match", "task0_test"): "Task 0, held-out\nexact match",
    ("exact_match", "task1"): "Task 1\nexact match",
}
_KINDS = {"exact_match": PROPORTION, "loss": RATIO, "barrier": RATIO, "barrier_above_line": RATIO}
_LINE = 0.13
"""Height of a line of text, as a share of a panel."""


def draw(interpolation: pd.DataFrame) -> Figure:
    """One column a segment, rows: loss and accuracy of both tasks; an arm each line, with its barrier in the legend of the panel.

    Frame: INTERPOLATION.
    """
    frame = pd.concat([_with_ends(rows, _KINDS[metric]) for metric, rows in interpolation.groupby("metric", sort=False)])
    segments = [name for name in SEGMENTS if name in set(frame["segment"])]
    arms = style.arm_order(frame["arm"])
    figure, panels = style.new_figure(len(_ROWS), len(segments), height=6.8, sharex="col", sharey="row")
    for row, ((metric, split), label) in zip(panels, _ROWS.items(), strict=True):
        for panel, segment in zip(row, segments, strict=True):
            of_panel = frame[(frame["segment"] == segment) & (frame["split"] == split)]
            for arm in arms:
                rows = of_panel[(of_panel["arm"] == arm) & (of_panel["metric"] == metric)]
                style.draw_curve(panel, rows, "position", style.arm_look(arm), kind=_KINDS[metric], markers=4, markersize=3.5)
            if metric == "loss":
                _barriers(panel, of_panel, arms)
        if metric == "loss":  # with room for the barriers above the lines
            row[0].set_ylim(0, (1 + _LINE * len(arms)) * max(panel.dataLim.y1 for panel in row))
        if metric == "exact_match":
            style.accuracy_axis(row[0], label)
        row[0].set_ylabel(label)
    for letter, panel, segment in zip("abc", panels[0], segments, strict=False):
        style.title(panel, letter, " to ".join(name.removeprefix("end of ") for name in SEGMENTS[segment]))
    for panel, segment in zip(panels[-1], segments, strict=True):
        panel.set_xlabel("position on the line")
        panel.set_xticks([0, 0.5, 1], [SEGMENTS[segment][0], "half-way", SEGMENTS[segment][1]])
        for place, text in zip(("left", "center", "right"), panel.get_xticklabels(), strict=True):
            text.set_horizontalalignment(place)
    style.legend(figure, style.arm_handles(arms), 5)
    style.note(
        figure,
        frame,
        "Recovered: one epoch from the end of Task 1. Barrier: highest loss on the line minus that of its higher end, 95 % interval.",
    )
    return figure


def _with_ends(rows: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    low, high = normal_interval(rows["value"], rows["error"], kind)
    return rows.assign(low=low, high=high)


def _barriers(panel: Axes, of_panel: pd.DataFrame, arms: list[str]) -> None:
    """The barrier of each arm as text in its colour, from the top; of several seeds the mean."""
    rows = of_panel[of_panel["metric"] == "barrier"]
    merged = over_seeds(rows, ["arm"], kind=RATIO).set_index("arm")
    for index, arm in enumerate(arm for arm in arms if arm in merged.index):
        value, low, high = merged.loc[arm, ["value", "low", "high"]]
        text = "no barrier" if value == 0 else f"barrier {value:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")
        panel.text(
            0.97,
            0.97 - 0.9 * _LINE * index,
            text,
            transform=panel.transAxes,
            ha="right",
            va="top",
            fontsize=6.5,
            color=style.arm_look(arm).color,
        )
