"""Which attributes and which tokens of Task 0 answers are forgotten?

**What it shows.** Task 0 answers of ``seq`` about persons whose questions were never trained on.

**How to read it.** *a*: exact match for each attribute. *b*: the share of right tokens at each place in the answer,
read after the question and the right tokens before it; dotted, the same of the control persons, whom the model never
read about. Later tokens are easier, as the name of a city gives away its state; a token stands for knowledge only as far
as it lies above its dotted line. The vertical line is the end of the early steps.

**What to look for.** If task alignment is lost, all attributes fall at about the same time, and the first token falls
furthest: given its beginning, the model still completes an answer.

**What would contradict the claim.** Later tokens that fall to their dotted lines together with the first: then the values
themselves are gone. A decline that spares some attributes: then it is no common loss of the task's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from forgetting.data.points import EARLY_STEP
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
_LOOKS = (
    ("#1A1A1A", "o"),
    ("#0072B2", "s"),
    ("#D55E00", "^"),
    ("#007A5A", "D"),
    ("#A8538A", "v"),
    ("#8A6D00", "P"),
    ("#6E6E6E", "X"),
)
"""Of the lines of a panel, in order; more begin again."""
_TICKS = (0, 10, 100, 1000, 10000)


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, positions: pd.DataFrame) -> Figure:
    """Frames: METRICS of the task1 run of seq, METRICS floors, POSITIONS of seq."""
    figure, axes = style.new_figure(1, 2, height=3.9)
    first, second = axes[0]
    rows = metrics[(metrics["metric"] == "exact_match") & (metrics["split"] == "task0_test")]
    kinds = {kind: kind.removesuffix("_name").replace("_", " ") for kind in rows["kind"].unique() if kind != "all"}
    tokens = tokens_drawn(positions)
    names = {position: "end" if position == _END else str(position + 1) for position in tokens}
    hard, control = (tokens_of(positions, split, "token_hard") for split in ("task0_test", "control"))
    _curves(first, rows, "kind", kinds, band=False)
    _curves(second, hard, "position", names)
    for look, position in zip(_looks(names), names, strict=True):
        style.draw_curve(second, control[control["position"] == position], "step", look, linestyle=":", linewidth=0.9, band=False)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    for panel, label in ((first, "Task 0 exact match\n(share of answers)"), (second, "Task 0 right tokens\n(share of tokens)")):
        _finish(panel, label)
    style.title(first, "a", "by attribute")
    style.title(second, "b", "by token")
    style.legend_below(first, _handles(kinds), columns=2)
    style.legend_below(second, _handles({position: f"token {name}" for position, name in names.items()}), columns=2)
    style.legend(figure, [style.line_handle("b: control persons", linestyle=":", linewidth=0.9), style.FLOOR_HANDLE], columns=2)
    asked = ", ".join(f"{count:,.0f}" for count in tokens.values())
    style.note(figure, metrics, f"{_unseen(rows[rows['kind'] != 'all'])} Tokens asked, from the first to the end: {asked}.")
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


def _looks(names: Mapping[Any, str]) -> list[style.Look]:
    return [style.Look(*_LOOKS[number % len(_LOOKS)], text) for number, text in enumerate(names.values())]


def _unseen(rows: pd.DataFrame) -> str:
    """How wide the intervals of the attributes are, whose bands would hide each other."""
    merged = over_seeds(rows, ["kind", "step"], kind=PROPORTION)
    half = 0.5 * (merged["high"] - merged["low"]).median()
    return f"In a, where bands would hide each other, none is drawn: an interval reaches ±{half:.2f} (median)."


def _curves(panel: Axes, rows: pd.DataFrame, column: str, names: Mapping[Any, str], band: bool = True) -> None:
    for look, value in zip(_looks(names), names, strict=True):
        style.draw_curve(panel, rows[rows[column] == value], "step", look, markers=6, markersize=3, linewidth=1.0, band=band)
    panel.axvline(EARLY_STEP, color="#BBBBBB", linewidth=0.8, zorder=0)


def _handles(names: Mapping[Any, str]) -> list[Line2D]:
    return [style.line_handle(look.label, look.color, marker=look.marker, markersize=3) for look in _looks(names)]


def _finish(panel: Axes, label: str) -> None:
    panel.set_xscale("symlog", linthresh=10, linscale=0.5)
    panel.set_xlim(-1, None)
    panel.set_xticks([step for step in _TICKS if step <= panel.get_xlim()[1]])
    style.plain_numbers(panel.xaxis)
    panel.tick_params(axis="x", which="minor", length=0)
    panel.set_xlabel("Task 1 step (log scale)")
    style.accuracy_axis(panel, label)
