"""Is there a hill between Task 0 and the weights that recovery finds?

**What it shows.** Loss and accuracy of held-out Task 0 questions on a closed way of three straight lines
through weight space: from the end of Task 0 to a model of Task 1, from there to the weights after one epoch
of recovery, and from those straight back to the end of Task 0. *a*, *c*: the model of Task 1 is the lowest
point of the first 150 steps. *b*, *d*: the end of Task 1. Arms without recovered weights have the first line
alone.

**How to read it.** Marks only tell the arms apart. The first line goes up and the second one down: that Task 1 raises the loss and recovery
lowers it is known, and says nothing of a basin. The third line says something where both of its ends are low,
which is so after recovery from the trough. Where it stays low, no hill lies between the model of Task 0 and
the recovered one, and both are in one basin, as far as this line shows. From the end of Task 1 recovery
brings back only a part: the third line then starts at a worse end, and that no hill lies on such a way says
as little as on the first line. How long the lines are, and whether the second one goes back towards the end
of Task 0, is in the table *Is recovery a way back?*

**What to look for.** In *a*, a third line as low as its ends: what was lost lay in reach of a flat region, and
recovery found another point of it.

**What would contradict the claim** that recovery stays in the basin of Task 0: a third line with a hill whose
interval is above both of its ends. A straight line is only one way between two points: a hill on it does not
exclude a way around, and a flat line says nothing of other ways.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import PROPORTION, RATIO, Kind, normal_interval

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 3,
    "inputs": {
        "interpolation": ["viewed"],
    },
}

STARTS = {"trough": "trough", "end": "end of\nTask 1"}
"""Where recovery starts: what the ticks call it."""
_ROWS: dict[str, tuple[str, Kind]] = {
    "loss": ("Task 0 loss\n(nats a token, log scale)", RATIO),
    "exact_match": ("Task 0 exact match", PROPORTION),
}


def draw(interpolation: pd.DataFrame) -> Figure:
    """One column a start of recovery, one row a metric, an arm each line. Frame: INTERPOLATION."""
    frame = interpolation[(interpolation["split"] == "task0_test") & interpolation["metric"].isin(list(_ROWS))]
    arms = style.arm_order(frame["arm"])
    figure, panels = style.new_figure(2, 2, height=4.9, sharex="col", sharey="row")
    for row, (metric, (label, kind)) in zip(panels, _ROWS.items(), strict=True):
        rows = frame[frame["metric"] == metric]
        low, high = normal_interval(rows["value"], rows["error"], kind)
        for panel, start in zip(row, STARTS, strict=True):
            for arm in arms:
                _closed_way(panel, rows.assign(low=low, high=high)[rows["arm"] == arm], start, kind, style.arm_look(arm))
        if metric == "exact_match":
            style.accuracy_axis(row[0], label)
        else:
            row[0].set_yscale("log")  # a hill between two low ends would not be seen beside the loss of the model of Task 1
            row[0].set_ylim(0.7 * rows["value"].min(), 1.5 * rows["value"].max())  # the interval of a loss near 0 may have no end
            style.plain_numbers(row[0].yaxis)
        row[0].set_ylabel(label)
    texts = ("from the trough: loss", "from the end: loss", "from the trough: accuracy", "from the end: accuracy")
    for letter, panel, text in zip("abcd", panels.flat, texts, strict=True):
        style.title(panel, letter, text)
        for place in (1, 2):
            panel.axvline(place, color="#8C8C8C", linewidth=0.8, zorder=1)
    for panel, here in zip(panels[1], STARTS.values(), strict=True):
        panel.set_xticks(range(4), ["end of\nTask 0", here, "recovered", "end of\nTask 0"])
        panel.set_xlabel("place on the three lines")
    style.legend(figure, style.arm_handles(arms), 4)
    unrecovered = [arm for arm in arms if not frame.loc[frame["arm"] == arm, "segment"].str.endswith("recovered").any()]
    missing = f" No recovered weights: {', '.join(style.arm_look(arm).label for arm in unrecovered)}." if unrecovered else ""
    style.note(figure, frame, f"Lines from left to right: Task 1, recovery, straight back; not to length.{missing}")
    return figure


def _closed_way(panel: Axes, rows: pd.DataFrame, start: str, kind: Kind, look: style.Look) -> None:
    """The three lines one after the other, each of length 1; the last one backwards."""
    ways = {f"task0_{start}": (0, 1), f"{start}_recovered": (1, 1), f"task0_{start}_recovered": (3, -1)}
    for segment, (origin, sign) in ways.items():
        of_segment = rows[rows["segment"] == segment]
        if len(of_segment):
            placed = of_segment.assign(place=origin + sign * of_segment["position"])
            style.draw_curve(panel, placed, "place", look, kind=kind, markers=3, markersize=3.5)
