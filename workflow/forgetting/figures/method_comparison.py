"""Which method keeps more of Task 0 than its floor, and of which does more come back?

**What it shows.** Task 0 of every method of the comparison, a row each: at the trough, the lowest point of the
first 150 steps (*a*), where Task 1 is learned (*b*), and after one epoch of recovery on Task 0 from there (*c*).

**How to read it.** *b* is interpolated between evaluations at the stated accuracy of Task 1; *c* starts from the
first evaluation that reached it. Small marks in *b* are the other arms of a grid that learned Task 1, whose knob was chosen on
validation persons, so that the mark of the chosen arm is not the best of many on the persons it is scored on.
Purple: ``seq`` that never had Task 0, with its interval, where it was run; it has no trough, so that in *a* it is
at step 150. What a method answers beyond it Task 1 alone does not teach. A method that restrains training has
another floor, its own run without Task 0, which has a row where it was made. Dashed: the pretrained model after one
epoch. Pale dots: single seeds. A dagger is an arm that did not learn Task 1 (in every seed): *b* and *c* of its row
are from the end of its run, in all seeds. A double dagger (of several seeds) is an arm whose gain over ``seq``, at a Task 1 accuracy
that every seed of both reaches, is above zero by an interval that holds for all rows together; without one, the
data leave open that the arm keeps no more. Arms differ in length, as the small print says: one that learns more
slowly gets more steps. The way of the main arms through both tasks is in the figure of both accuracies.

**What to look for.** A mark far to the right in *a*: the early collapse is prevented. One that is still there in *b*:
Task 0 is kept, and not only lost later. In *c*, one beyond the purple: what came back was kept, for the
same epoch brings that much to a model that never had it.

**What would contradict a method's merit.** A dagger; a mark in *b* within the purple, or a gain over ``seq`` that
is not surely above zero (*minus seq* in the table of the chosen arms: of the same seeds, so it can be sure where
the intervals here overlap). A mark in *c* no further right than the dashed line of the pretrained model, which has
only the question format to learn, shows nothing that Task 0 taught; where that model is at its ceiling, no mark can
be beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from forgetting.analysis.comparison import after_one_epoch, compared_points, surely_beyond_seq
from forgetting.analysis.curves import method_summary
from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import floor_of
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "metrics": ["compared"],
        "recovery": ["compared", "controls"],
        "floors": [],
        "choice": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_PRETRAINED: dict[str, Any] = {"color": style.CONTROLS["pretrained"].color, "linewidth": 0.9, "linestyle": (0, (5, 2))}
_FAINT: dict[str, Any] = {"markersize": 3, "alpha": 0.45, "linestyle": "none", "markeredgewidth": 0, "clip_on": False}
_ROW = 0.24
"""Height of a row, inches."""


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame, choice: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the compared arms, RECOVERY of them and of the controls, METRICS floors, CHOICE. `matched_accuracy`: Task 1
    accuracy at which the arms are compared."""
    families = choice.set_index("arm")["family"].to_dict()
    metrics = metrics[metrics["arm"].isin(list(families))]
    chosen = style.arm_order(choice.loc[choice["chosen"], "arm"])
    summary = method_summary(metrics, matched_accuracy)
    summary = summary[~summary["early_stop"]].assign(family=summary["arm"].map(families))
    learned = summary.groupby("arm")["learned"].transform("all")
    kept = style.values_of(summary, "matched", ["arm"]).where(learned, style.values_of(summary, "final", ["arm"]))
    points = compared_points(metrics[metrics["arm"].isin(chosen)], recovery)
    shown = (style.values_of(summary, "trough", ["arm"]), kept, after_one_epoch(points, recovery))
    figure, axes = style.new_figure(1, 3, height=1.7 + _ROW * max(len(chosen), 7), sharex=True, sharey=True)
    texts = ("trough", f"Task 1 at {100 * matched_accuracy:g} %", "plus one epoch")
    for letter, panel, text, values in zip("abc", axes[0], texts, shown, strict=True):
        _panel(panel, values, chosen, summary["seed"].nunique())
        style.draw_floor(panel, floors, "task0_test", "exact_match", across=False)
        style.title(panel, letter, text)
    _others(axes[0, 1], summary, chosen)
    pretrained = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])
    axes[0, 2].axvline(pretrained["value"].mean(), **_PRETRAINED, zorder=1)
    beyond = surely_beyond_seq(metrics[metrics["arm"].isin(chosen)], matched_accuracy)
    failed = set(summary.loc[~learned, "arm"])
    labels = [style.arm_look(arm).label + " †" * (arm in failed) + " ‡" * (arm in beyond) for arm in chosen]
    style.name_arms(axes[0, 0], chosen, labels)
    axes[0, 0].tick_params(axis="y", labelcolor="#222222")  # small type in the lighter colours would be hard to read
    axes[0, 0].set_xlim(-0.04, 1.04)
    axes[0, 0].set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes[0, 1].set_xlabel("Task 0 exact match (share of answers, held-out persons)")
    _legend(figure, floor_of("seq", chosen))
    style.note(figure, metrics, _remarks(summary))
    return figure


def _remarks(summary: pd.DataFrame) -> str:
    """What the small print says beside the intervals."""
    length = summary["steps"] / summary.loc[summary["arm"] == "seq", "steps"].iloc[0]
    seeds = summary["seed"].nunique()
    text = f"†: Task 1 was {style.unlearned(seeds)}, so b and c are of the end of the run."
    if seeds > 1:
        text += " ‡: surely more Task 0 than seq, of all rows of b together."
    return text if length.nunique() < 2 else f"{text} Runs: {length.min():g} to {length.max():g} times the steps of seq."


def _panel(panel: Axes, values: pd.DataFrame, chosen: list[str], seeds: int) -> None:
    """A mark a chosen arm, over all `seeds`, and as a band that of `seq` without Task 0."""
    for place, arm in enumerate(chosen):
        rows, look = values[values["arm"] == arm].dropna(subset="value"), style.arm_look(arm)
        for _, of_seed in style.single_seeds(rows):
            style.seed_dots(panel, of_seed["value"], [place - 0.28] * len(of_seed), look)
        found = over_seeds(rows, ["arm"], seeds, kind=PROPORTION)
        mark: dict[str, Any] = {"marker": look.marker, "markerfacecolor": look.face, "markersize": 4.5, "linestyle": "none"}
        panel.errorbar(found["value"], [place] * len(found), xerr=style.beyond(found), color=look.color, elinewidth=1.0, capsize=0, **mark)
        if arm == floor_of("seq", chosen):
            for low, high in found[["low", "high"]].to_numpy(dtype=float):
                panel.axvspan(low, high, color=look.color, alpha=0.15, linewidth=0, zorder=0)
    for place in range(0, len(chosen), 2):
        panel.axhspan(place - 0.5, place + 0.5, color=style.BAND, linewidth=0, zorder=-1)
    panel.grid(visible=False, axis="y")


def _others(panel: Axes, summary: pd.DataFrame, chosen: list[str]) -> None:
    """Small marks below that of the chosen arm of a family: the other arms that learned Task 1."""
    families = summary.groupby("arm")["family"].first()
    for arm in sorted(set(families.index) - set(chosen)):
        at = style.mean_of(summary[summary["arm"] == arm], "matched", ["arm"], summary["seed"].nunique())["value"]
        place = next((place for place, other in enumerate(chosen) if families[other] == families[arm]), None)
        if len(at) and place is not None:  # an empty line that is not clipped would reach to the corner of the figure
            look = style.arm_look(arm)
            panel.plot(at, [place + 0.32], color=look.color, marker=look.marker, **_FAINT)


def _legend(figure: Figure, floor: str | None) -> None:
    handles: list[Artist] = [style.line_handle("b: another arm of its grid", marker="o", **_FAINT)]
    if floor:
        look = style.arm_look(floor)
        handles.append(Patch(color=look.color, alpha=0.3, linewidth=0, label=f"{look.label}: interval"))
    handles += [style.line_handle("c: pretrained only, one epoch", **_PRETRAINED), style.FLOOR_HANDLE]
    style.legend(figure, handles, columns=2)
