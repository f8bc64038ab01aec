"""Does replay prevent the early collapse, or only repair it?

**What it shows.** Whether replay prevents the early collapse, or only repairs it.

**How to read it.** Task 0 against the share of Task 0 persons whose questions are stored (marks
side by side): *a* at its lowest
in the first 150 steps, *b* where Task 1 reaches the stated accuracy, *c* at the end. Squares add as many
stored questions to each batch as it has of Task 1, so that it is twice as large; octagons keep the size of a
batch and fill half of it from the store, in twice the steps; diamonds add stored questions in the proportion
of store to Task 1. Horizontal lines: ``seq``, which stores nothing, and joint training in proportion, which
stores all (the diamond that 100 % would have); purple, where it was run, ``seq`` that never had Task 0,
the floor (in *a* at step 150, as it has no trough).

**What to look for.** If points stand far above ``seq`` in *a* too, replay prevents the collapse. If they are
near it in *a* and far above it in *b* and *c*, it repairs what was lost.

**What would contradict the claim.** A store of a few persons that lifts *c* no higher than ``seq``: then
held-out persons do not profit from the alignment that the stored ones keep.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.curves import method_summary
from forgetting.data.points import NO_TASK0
from forgetting.figures import style

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 4,
    "only_if": "compared:replay",
    "inputs": {
        "metrics": ["compared:seq,replay,joint", "compared_floors"],
        "floors": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

_MIXES = {
    "replay": style.Look("#0072B2", "s", "replay: as many stored questions added to each batch"),
    "replay-half": style.Look("#2F5BC4", "8", "replay: half of each batch of the usual size", face="white"),
    "replay-ratio": style.Look("#258E9C", "D", "replay: batches from both tasks, by size"),
}
_LEVELS = {"seq": "-", "joint": "--", f"seq{NO_TASK0}": ":"}
"""Arms that are the same whatever is stored, and their lines."""
_PANELS = (("trough", "trough"), ("matched", "at Task 1 of {:g} %"), ("final", "end of the run"))


def draw(metrics: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> Figure:
    """Frames: METRICS of the task1 runs (seq, replay and joint arms are used, and `seq` without Task 0), METRICS floors."""
    share = {arm: found for arm in metrics["arm"].unique() if (found := _share(arm)) is not None}
    lines = [arm for arm in _LEVELS if arm in set(metrics["arm"])]
    rows = metrics[metrics["arm"].isin([*share, *lines])]
    summary = method_summary(rows, matched_accuracy)
    summary = summary[~summary["early_stop"]].assign(share=summary["arm"].map(share), family=summary["arm"].map(style.arm_family))
    seeds = metrics["seed"].nunique()
    figure, axes = style.new_figure(1, 3, height=3.6, sharey=True)
    for panel, letter, (column, text) in zip(axes[0], "abc", _PANELS, strict=True):
        for (family, look), aside in zip(_MIXES.items(), (1.12, 1, 1 / 1.12), strict=True):
            of_mix = summary[summary["family"] == family]
            style.draw_column(panel, of_mix.assign(share=of_mix["share"] * aside), column, "share", look, seeds)
        for arm in lines:
            level = style.mean_of(summary[summary["arm"] == arm], column, ["arm"], seeds)
            _level(panel, level, style.arm_look(arm)._replace(line=_LEVELS[arm]))
        style.draw_floor(panel, floors, "task0_test", "exact_match")
        _finish(panel, sorted(set(share.values())))
        style.title(panel, letter, text.format(100 * matched_accuracy))
    style.accuracy_axis(axes[0, 0], "Task 0 exact match\n(share of answers, held-out persons)")
    levels = [style.line_handle(f"{style.arm_look(arm).label}: level", style.arm_look(arm).color, linestyle=_LEVELS[arm]) for arm in lines]
    marks = [style.line_handle(look.label, look.color, marker=look.marker, markerfacecolor=look.face) for look in _MIXES.values()]
    style.legend(figure, [*marks, *levels, style.FLOOR_HANDLE], columns=2)
    style.note(figure, metrics, f"Levels have their intervals. Nothing is drawn in b where Task 1 was {style.unlearned(seeds)}.")
    return figure


def _share(arm: str) -> float | None:
    """The stored share (%) in the name of a replay arm."""
    return next((found for family in _MIXES if (found := style.arm_knob(arm, family)) is not None), None)


def _level(panel: Axes, level: pd.DataFrame, look: style.Look) -> None:
    """Horizontal line and band of an arm that stores nothing, or everything."""
    for value, low, high in level[["value", "low", "high"]].to_numpy(dtype=float):
        panel.axhline(value, color=look.color, linewidth=1.0, linestyle=look.line)
        if low < high:
            panel.axhspan(low, high, color=look.color, alpha=0.12, linewidth=0)


def _finish(panel: Axes, shares: list[float]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(shares, [f"{share:g}" for share in shares])
    panel.minorticks_off()
    panel.set_xlim(0.7 * min(shares, default=1), 1.4 * max(shares, default=50))
    panel.set_xlabel("persons stored (%, log)")
