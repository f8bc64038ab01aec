"""What does the cheapest repair bring back?

**What it shows.** Every repair of the Task 1 checkpoints of ``seq``, from those that leave the weights alone to
one epoch of training, at the lowest point of the first 150 steps (*a*; what stands in the prompt, and the known
shift, at step 150) and at the end (*b*).

**How to read it.** Filled: Task 0 exact match after the repair. Cross: its control, which does as much without
knowing what: solved questions with the answers of others, the statement of another person's fact, persons in no
biography, random directions of the same length, random weights holding as much of the squared update, recovery
on shuffled answers. Open triangle: what is left of Task 1 (not asked after recovery, nor where states are
changed). Grey lines: Task 0 with nothing done, and before Task 1. The fact in the prompt can be copied: it says
whether a model still answers, not whether it knows.

**What to look for.** A filled mark near the line of before, far from its cross, with its triangle where Task 1
was. From what stands in the prompt, or from training, it is knowledge that is there and needs hardly anything;
what puts weights back, or takes directions of the update away, brings the weights of before with it.

**What would contradict the claim** that the early loss is spurious: no repair but training above its control.
Then nothing shows that the facts can be reached from where the model is.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.repairs import REPAIRS, repair_runs
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "inputs": {"graft": ["seq"], "recall": ["seq"], "repair": ["seq"], "metrics": ["seq"], "recovery": ["seq"]},
}

_TASK0, _CONTROL = style.Look("#0072B2", "o", "Task 0"), style.Look("#6E6E6E", "x", "Task 0, control")
_TASK1 = style.Look("#D55E00", "^", "Task 1")
_REFERENCE: dict[str, Any] = {"color": "#6E6E6E", "linewidth": 0.9, "zorder": 1}
_LINES = {-1: "-", -2: (0, (4, 2))}


def draw(graft: pd.DataFrame, recall: pd.DataFrame, repair: pd.DataFrame, metrics: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """Frames: GRAFT, RECALL, COMMON_SHIFT_REPAIR, METRICS and RECOVERY of `seq`."""
    frames = (graft, recall, repair, metrics, recovery)
    runs = repair_runs(*(frame[frame["arm"] == "seq"] for frame in frames))
    seeds, shown = graft["seed"].nunique(), sorted(place for place in runs["place"].unique() if place >= 0)
    figure, axes = style.new_figure(1, 2, height=5.0, sharex=True, sharey=True)
    for letter, panel, time in zip("ab", axes[0], ("early", "late"), strict=True):
        _time(panel, runs[runs["time"] == time], shown, seeds)
        style.title(panel, letter, f"first {EARLY_STEP} steps" if time == "early" else "end of Task 1")
        panel.set_xlabel("exact match")
    axes[0, 0].set_yticks(range(len(shown)), [REPAIRS[place].label for place in shown])
    axes[0, 0].set_ylim(len(shown) - 0.4, -0.6)
    axes[0, 0].set_xlim(-0.04, 1.04)
    style.legend(figure, _handles(), columns=3)
    style.note(figure, graft)
    return figure


def _time(panel: Axes, runs: pd.DataFrame, shown: list[int], seeds: int) -> None:
    for place, line in _LINES.items():
        rows = style.mean_of(runs[runs["place"] == place], "task0", ["place"], seeds)
        if len(rows):
            panel.axvline(float(rows["value"].iloc[0]), linestyle=line, **_REFERENCE)
    for column, look, below, fill in (
        ("task1", _TASK1, 0.22, "white"),
        ("task0_random", _CONTROL, 0.0, None),
        ("task0", _TASK0, 0.0, None),
    ):
        rows = style.mean_of(runs[runs["place"] >= 0], column, ["place"], seeds)
        if rows.empty:
            continue
        at = rows["place"].map(shown.index) + below
        beyond = (rows["value"] - rows["low"], rows["high"] - rows["value"])
        for _, of_seed in style.single_seeds(runs[runs["place"].isin(rows["place"])].dropna(subset=column)):
            style.seed_dots(panel, of_seed[column], of_seed["place"].map(shown.index) + below, look._replace(marker="."))
        bars = [end.clip(lower=0).fillna(0) for end in beyond]
        panel.errorbar(
            rows["value"], at, xerr=bars, color=look.color, marker=look.marker, markerfacecolor=fill, markersize=4, linestyle="none",
            elinewidth=0.8, capsize=0,
        )  # fmt: skip


def _handles() -> list[Any]:
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle="none") for look in (_TASK0, _CONTROL)]
    handles.append(style.line_handle(_TASK1.label, _TASK1.color, marker="^", markerfacecolor="white", linestyle="none"))
    names = {-1: "Task 0, nothing done", -2: "Task 0, before Task 1"}
    return handles + [style.line_handle(names[place], linestyle=line, **_REFERENCE) for place, line in _LINES.items()]
