"""Is it the values or the format of Task 1 that makes Task 0 collapse?

**What it shows.** Plain fine-tuning in the six cells of the crossed experiment: Task 1 asks in the words of Task 0
(*a*), in other words (*b*), or states its facts in sentences (*c*); and its persons have values of both halves or
of half B alone. Pretrained persons were of one half each. *d*: Task 1, in the format that it trains.

**How to read it.** Exact match of Task 0 questions about persons of half A (solid) and of half B (dashed), whose
questions no stage trained on. Dotted: the same Task 1 from the model that never had Task 0, all persons: what
Task 1 itself teaches of the questions. The horizontal axis is even to step 10 and logarithmic beyond, so
that the early loss has room. Task 1 exact match counts the value alone where there is no end token, in statements.

**What to look for.** If the format is what is lost (the paper), *a* collapses whatever the values, A as B, and *c*
does not. If the values shift in common (Palit and others 2026), A collapses where Task 1 has half of the values,
in every format, B does not, and nothing collapses with all values.

**What would contradict either.** A collapse in *c* with all values contradicts the first; one in *a* with all
values, or of B as deep as A with half of them, the second. Both may hold, each in its cells.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.factors import BOTH, half_curves
from forgetting.data.cells import FORMATS, VALUES, factors_of_arm
from forgetting.data.points import curve, never_had_task0
from forgetting.figures import style

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "factors",
    "order": 1,
    "only_if": "factors",
    "inputs": {"metrics": ["factors"], "facts": ["factors"], "halves": []},
}

_COLORS = {"all": "#0072B2", "half": "#D55E00"}
_WORDS = {"all": "all values", "half": "values of B alone"}
_TITLES = {"same": "the words of Task 0", "other": "other words", "statement": "statements"}
_LINES: dict[str, Any] = {"A": "-", "B": (0, (4, 1.5))}
_FLOOR: dict[str, Any] = {"linestyle": ":", "linewidth": 1.3, "band": False}
_MARKERS = {"same": "o", "other": "s", "statement": "^"}


def draw(metrics: pd.DataFrame, facts: pd.DataFrame, halves: pd.DataFrame) -> Figure:
    """Frames: METRICS and FACTS of the arms of the experiment, HALVES_OF_UNITS."""
    curves = half_curves(facts, halves)
    figure, axes = style.new_figure(2, 2, height=5.0, sharex=True, sharey=True)
    for letter, panel, form in zip("abc", axes.flat, FORMATS, strict=False):
        for values in VALUES:
            if len(of_cell := _of(curves, values, form)):
                _cell(panel, of_cell, _COLORS[values])
        style.title(panel, letter, f"Task 0; {_TITLES[form]}")
    _task1(axes[1, 1], metrics)
    for panel in axes[:, 0]:
        style.accuracy_axis(panel, "exact match")
    for panel in axes[1]:
        panel.set_xlabel("Task 1 step (log scale)")
    axes[0, 0].set_xscale("symlog", linthresh=10, linscale=0.5)
    axes[0, 0].set_xlim(0, metrics["step"].max())
    style.legend(figure, _handles(), columns=3)
    style.note(figure, metrics)
    return figure


def _of(rows: pd.DataFrame, values: str, form: str) -> pd.DataFrame:
    return rows[[factors_of_arm(arm) == (values, form) for arm in rows["arm"]]]


def _cell(panel: Axes, curves: pd.DataFrame, color: str) -> None:
    """Task 0 by half, and the floor of both."""
    floor = curves["arm"].map(never_had_task0)
    look = style.Look(color, "", "")
    style.draw_curve(panel, curves[floor & (curves["half"] == BOTH)], "step", look, **_FLOOR)
    for half, line in _LINES.items():
        style.draw_curve(panel, curves[~floor & (curves["half"] == half)], "step", look, linestyle=line)


def _task1(panel: Axes, metrics: pd.DataFrame) -> None:
    runs = metrics[~metrics["arm"].map(never_had_task0)]
    for form in FORMATS:
        for values in VALUES:
            if (of_cell := _of(runs, values, form)).empty:
                continue
            rows = pd.concat([curve(run, "task1").assign(seed=seed) for seed, run in of_cell.groupby("seed")], ignore_index=True)
            look = style.Look(_COLORS[values], _MARKERS[form], "")
            style.draw_curve(panel, rows, "step", look, markers=6, band=False, linewidth=1.0)
    style.title(panel, "d", "Task 1, in its own format")


def _handles() -> list[Any]:
    handles = [style.line_handle(f"Task 1 has {_WORDS[values]}", color) for values, color in _COLORS.items()]
    handles += [style.line_handle(f"persons of half {half}", linestyle=line) for half, line in _LINES.items()]
    handles.append(style.line_handle("never had Task 0", linestyle=":", linewidth=1.3))
    return handles + [style.line_handle(f"d: {_TITLES[form]}", marker=marker, linewidth=1.0) for form, marker in _MARKERS.items()]
