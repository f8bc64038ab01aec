"""Which attributes and which tokens of Task 0 answers are forgotten?

**What it shows.** Task 0 answers of ``seq`` about persons whose questions were never trained on. Above: exact
match for each attribute. Below: the share of right tokens at each place in the answer, read after the question and
the right tokens before it.

**How to read it.** *a*, *c*: the first 150 steps of Task 1. *b*, *d*: the last of these steps (open) and the end
of Task 1 (filled), with intervals; the names there, in the colours of the lines, are the key of *a* and *c*, and
*b* has an axis of its own. Intervals of the lines in *a* would hide one another: those at its last step are in
*b*. The grey stripe of *a* and the upright strokes are what knowing nothing gives, each stroke at the height of
the mark that it is for: in *a* and *b* always the most frequent value, which is the same all along (the stripe
reaches from the attribute where it helps least to the one where it helps most), in *d* the control persons at that
time, whom the model never read about (in *c* dotted). What Task 1 itself teaches is in no panel. Later tokens are
easier, as the name of a city gives away its state; a token stands for knowledge only as far as it lies above its
stroke.

**What to look for.** If task alignment is lost, all attributes fall at about the same time, and the first token
falls furthest: given its beginning, the model still completes an answer.

**What would contradict the claim.** Later tokens that fall to their floors together with the first: then the
values themselves are gone. A decline that spares some attributes: then it is no common loss of the task's format.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from forgetting.config.names import Marker
from forgetting.data.points import EARLY, EARLY_STEP, END, WORDS, early_step
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 3,
    "inputs": {"metrics": ["seq"], "floors": [], "positions": ["seq"]},
}

_END = -1
_MOST_TOKENS = 5
_RARE = 0.05
"""Tokens of the answer beyond the first five, or that fewer of the questions have, are not drawn."""
_LOOKS: dict[str, tuple[tuple[str, Marker], ...]] = {
    "kind": (
        *(("#1A1A1A", "D"), ("#1FA3B5", "P"), ("#C2185B", "v"), ("#79A600", "X"), ("#9A7BC8", "8"), ("#8A6D00", (5, 0, 180.0))),
        ("#6E6E6E", (4, 1, 0.0)),
    ),
    "position": (("#B2182B", "<"), ("#283593", ">"), ("#5B7F00", "d"), ("#7A4A1E", "h"), ("#546E7A", "*"), ("#AD1480", "H")),
}
"""Of the lines of a panel, in order, by what they are of: an attribute and a token share none, and none is that of a main
arm. More begin again."""
_CONTROL: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9}
_FLOOR: dict[str, Any] = {"marker": "|", "markersize": 8, "markeredgewidth": 1.4, "linestyle": "none"}


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, positions: pd.DataFrame) -> Figure:
    """Attributes above, tokens below; the first steps, and what is left. Frames: METRICS of the task1 run of seq, METRICS floors,
    POSITIONS of seq."""
    figure, panels = style.new_figure(2, 2, height=5.2, width_ratios=[1.2, 1])
    exact, floors = (frame[(frame["metric"] == "exact_match") & (frame["split"] == "task0_test")] for frame in (metrics, floors))
    kinds = {kind: kind.removesuffix("_name").replace("_", " ") for kind in exact["kind"].unique() if kind != "all"}
    tokens = tokens_drawn(positions)
    names = {position: "end token" if position == _END else f"token {position + 1}" for position in tokens}
    right, control = (tokens_of(positions, split, "token_hard") for split in ("task0_test", "control"))
    for look, position in zip(_looks("position", names), names, strict=True):
        early = control[(control["position"] == position) & (control["step"] <= EARLY_STEP)]
        style.draw_curve(panels[1, 0], early, "step", look, band=False, **_CONTROL)
    at_both = pd.concat([floors.assign(step=step) for step in exact["step"].unique()])  # the most frequent value is the same all along
    for row, rows, floor, column, called in zip(
        panels, (exact, right), (at_both, control), ("kind", "position"), (kinds, names), strict=True
    ):
        _first_steps(row[0], rows, column, called, band=column == "position")
        _left(row[1], rows, floor, column, called)
    levels = floors[floors["kind"].isin(kinds)].groupby("kind")["value"].mean()
    panels[0, 0].axhspan(levels.min(), levels.max(), color=style.MODAL_ANSWER, alpha=0.35, linewidth=0, zorder=1)
    titles = (f"by attribute, first {EARLY_STEP} steps", "what is left", f"by token, first {EARLY_STEP} steps", "what is left")
    for letter, panel, text in zip("abcd", panels.flat, titles, strict=True):
        style.title(panel, letter, text)
    style.accuracy_axis(panels[0, 0], "Task 0 exact match\n(share of answers)")
    style.accuracy_axis(panels[1, 0], "Task 0 right tokens\n(share of tokens)")
    for panel in panels[:, 0]:
        panel.set_xlabel("Task 1 step")
    panels[0, 1].set_xlabel("share of answers")
    panels[0, 1].set_xlim(-0.01, None)
    panels[1, 1].set_xlabel("share of tokens")
    panels[1, 1].set_xlim(-0.03, 1.03)
    handles = [
        style.line_handle(WORDS[EARLY], linestyle="none", marker="o", markerfacecolor="white"),
        style.line_handle(WORDS[END], linestyle="none", marker="o"),
        style.line_handle("most frequent value (b), control persons (d)", **_FLOOR),
        Patch(color=style.MODAL_ANSWER, alpha=0.35, linewidth=0, label="most frequent value (a)"),
        style.line_handle("control persons (c)", **_CONTROL),
    ]
    style.legend(figure, handles, columns=2)
    asked = ", ".join(f"{count:,.0f}" for count in tokens.values())
    style.note(figure, metrics, f"Tokens asked, from the first to the end: {asked}.", intervals="bands and bars")
    return figure


def tokens_drawn(positions: pd.DataFrame) -> dict[int, float]:
    """Positions that get a line, the end token last, and how many questions have them (mean over seeds)."""
    counts = tokens_of(positions, "task0_test", "token_hard").groupby("position")["n"].mean()
    common = counts[(counts.index != _END) & (counts >= _RARE * counts[_END])]
    return {int(position): float(counts[position]) for position in [*sorted(common.index)[:_MOST_TOKENS], _END]}


def tokens_of(positions: pd.DataFrame, split: str, metric: str) -> pd.DataFrame:
    """The rows of POSITIONS of one split and metric, over all kinds."""
    return positions[(positions["split"] == split) & (positions["metric"] == metric) & (positions["kind"] == "all")]


def chance_of_token(positions: pd.DataFrame, position: int) -> float:
    """How often the most frequent token of this position is right."""
    rows = tokens_of(positions, "task0_test", "token_hard")
    return float(rows.loc[rows["position"] == position, "chance"].mean())


def _looks(column: str, names: Mapping[Any, str]) -> list[style.Look]:
    return [style.Look(*look, text) for look, text in zip(itertools.cycle(_LOOKS[column]), names.values())]


def _first_steps(panel: Axes, rows: pd.DataFrame, column: str, names: Mapping[Any, str], band: bool) -> None:
    """A line for each of `names`, values of `column`; six attributes would hide each other's bands."""
    early = rows[rows["step"] <= EARLY_STEP]
    for look, value in zip(_looks(column, names), names, strict=True):
        style.draw_curve(panel, early[early[column] == value], "step", look, markers=6, markersize=3, linewidth=1.0, band=band)


def _left(panel: Axes, rows: pd.DataFrame, floors: pd.DataFrame, column: str, names: Mapping[Any, str]) -> None:
    """A row for each of `names`, in the colour of its line: after the early steps and at the end, each with its floor at that step."""
    looks = _looks(column, names)
    for place, (look, value) in enumerate(zip(looks, names, strict=True)):
        of_value = rows[rows[column] == value]
        for beside, step, face in ((-0.2, early_step(of_value["step"]), "white"), (0.2, of_value["step"].max(), look.color)):
            found = over_seeds(of_value[of_value["step"] == step], [column], kind=PROPORTION)
            y = [place + beside] * len(found)
            floor = floors.loc[(floors[column] == value) & (floors["step"] == step), "value"].mean()
            panel.plot(floor, place + beside, color=style.CONTROL_LABEL, zorder=1, **_FLOOR)
            panel.hlines(y, found["low"], found["high"], color=look.color, linewidth=1.0)
            panel.plot(found["value"], y, marker=look.marker, color=look.color, markerfacecolor=face, markersize=4, linestyle="none")
    style.name_rows(panel, looks)
