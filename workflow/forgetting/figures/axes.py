"""Is it the same with other persons, optimizers, batches and rates?

**What it shows.** Plain fine-tuning (``seq``) with one thing changed at a time: how many persons Task 1 has
(*a*), the optimizer (*b*), the batch (*c*), the learning rate (*d*). All start from the same Task 0.

**How to read it.** Each place on a horizontal axis is a complete run; the one in bold is ``seq`` itself. Task 0
exact match: at the lowest point of the first 150 steps, at the end of Task 1, and after one epoch of recovery
from each. An open marker is a run that did not learn Task 1 (in every seed, if there are several): it may keep
much because it learned little, or have lost more to a longer way. Dashed: the same epoch from the pretrained
model, which never saw a question; a recovery that does not exceed it does not show that Task 0 was kept. Open
pentagons, where that was run: the same recovery, from step 150 and from the end, of the same Task 1 without Task 0.

**What to look for.** The paper reports spurious forgetting "in all of them": every trough deep, and every run
recovered from there to where it was.

**What would contradict the claim.** A place without a trough though Task 1 is learned; or one from whose trough
recovery does not come back: then the early loss depends on how one trains, or is real there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.axes import PLAIN, axis_runs
from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY_STEP
from forgetting.figures import style

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "axes",
    "only_if": "axes",
    "inputs": {"metrics": ["axes"], "recovery": ["axes", "controls"], "floors": []},
    "options": {"units": "data.groups.task1", "batch_size": "task1.batch_size", "learning_rate": "task1.optimizer.learning_rate"},
}

_TITLES = {"units": "persons in Task 1", "optimizer": "optimizer", "batch_size": "questions a step", "learning_rate": "learning rate"}
_NAMES = {"sgd": "SGD", "adamw": "AdamW", "muon": "Muon"}
_LOOKS = {
    "trough": style.Look("#D55E00", "v", f"lowest in {EARLY_STEP} steps"),
    "early_recovered": style.Look("#0072B2", "^", "recovered from there"),
    "final": style.Look("#8A4B00", "o", "end of Task 1"),
    "late_recovered": style.Look("#1A1A1A", "D", "recovered from the end"),
}
_FLOOR = style.arm_look("seq-no-task0")
_PRETRAINED: dict[str, Any] = {"color": "#6E6E6E", "linestyle": (0, (4, 1.5)), "linewidth": 1.0}


def draw(
    metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame, units: int = 0, batch_size: int = 0, learning_rate: float = 0.0
) -> Figure:
    """Frames: METRICS of the arms of the axes, RECOVERY of them and the controls, METRICS floors; and where `seq` is on each axis."""
    plain: dict[str, float | str] = {"units": units, "optimizer": "adamw", "batch_size": batch_size, "learning_rate": learning_rate}
    runs, seeds = axis_runs(metrics, recovery, plain), metrics["seed"].nunique()
    never = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])["value"].mean()
    figure, axes = style.new_figure(2, 2, height=4.6, sharey=True)
    for letter, panel, (axis, text) in zip("abcd", axes.flat, _TITLES.items(), strict=True):
        _axis(panel, runs[runs["axis"] == axis], seeds)
        panel.axhline(never, zorder=1, **_PRETRAINED)
        style.draw_floor(panel, floors, "task0_test", "exact_match")
        style.title(panel, letter, text)
    for panel in axes[:, 0]:
        style.accuracy_axis(panel, "Task 0 exact match")
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle="none") for look in _LOOKS.values()]
    unlearned = style.line_handle(f"open marks: Task 1 {style.unlearned(seeds)}", marker="o", markerfacecolor="white", linestyle="none")
    handles += [unlearned, style.line_handle("recovered, pretrained only", **_PRETRAINED), style.FLOOR_HANDLE]
    if runs["early_floor"].notna().any():
        handles.append(
            style.line_handle("recovered, without Task 0", _FLOOR.color, marker=_FLOOR.marker, markerfacecolor="white", linestyle="none")
        )
    style.legend(figure, handles, columns=3)
    style.note(figure, metrics)
    return figure


def _axis(panel: Axes, runs: pd.DataFrame, seeds: int) -> None:
    """The places of one axis, side by side in their order."""
    places = list(dict.fromkeys(runs["place"]))
    learned = runs.groupby("place")["learned"].all()
    for index, (name, look) in enumerate(_LOOKS.items()):
        means = style.mean_of(runs, name, ["place"], seeds)
        means = means.assign(x=means["place"].map(places.index) + 0.12 * (index - 1.5))
        for known, fill in ((True, look.color), (False, "white")):
            chosen = means[means["place"].map(learned) == known]
            style.error_bars(panel, chosen, "x", look, markersize=4.5, markerfacecolor=fill)
        of_floor = name.replace("recovered", "floor")
        if of_floor != name and runs[of_floor].notna().any():
            floor = style.mean_of(runs, of_floor, ["place"], seeds)
            style.error_bars(panel, floor.assign(x=floor["place"].map(places.index) + 0.12 * (index - 1.5) + 0.05), "x", _FLOOR)
        for _, of_seed in style.single_seeds(runs):
            style.seed_dots(panel, of_seed["place"].map(places.index) + 0.12 * (index - 1.5), of_seed[name], look)
    ticks = panel.set_xticks(range(len(places)), [_NAMES.get(place, place) for place in places])
    for tick in ticks:
        tick.label1.set_fontweight("bold" if places[int(tick.get_loc())] in set(runs.loc[runs["arm"] == PLAIN, "place"]) else "normal")
    panel.set_xlim(-0.5, len(places) - 0.5)
