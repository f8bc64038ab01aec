"""From which learning rate of Task 1 on is the loss of Task 0 real?

**What it shows.** The same sequential training on Task 1 at several learning rates.

**How to read it.** Each position on the horizontal axis is a complete run. *a*: Task 0 before Task 1, at the
trough of the first 150 steps, and at the highest point after it (without any training on Task 0). *b*: after one
recovery epoch, from the trough and from the step that learned Task 1; dashed, the pretrained model. *c*: the share
of the loss that recovery brought back. Open pentagons, at the rate of ``seq`` alone: in *b* the same epoch from the
model that never had Task 0, in *c* the share of ``seq`` had recovery come only to there. Any other open marker is a
run that did not learn Task 1 (in every seed), probed at its end. Trough and peak are the lowest and the highest of
many evaluations, so a rise within the width of an interval is noise.

**What to look for.** A range of rates with a deep trough and a spurious share near 1, and a rate from which
the share falls. Compare only filled diamonds with each other: these have learned Task 1 equally well.

**What would contradict the claim.** A spurious share that is low wherever the trough is deep: then one epoch
does not bring back what the early collapse took. A share near 1 shows nothing of Task 0 unless it is above its
pentagon, the *floor share* of the recovery table.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.curves import collapse_by_rate
from forgetting.analysis.spurious import probe_points, recovery_summary, task0_rows
from forgetting.data.points import EARLY_STEP, floor_of
from forgetting.figures import style
from forgetting.statistics import PROPORTION, UNBOUNDED, Kind, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 2,
    "inputs": {
        "metrics": ["rates", "without_task0"],
        "recovery": ["rates", "without_task0", "controls"],
        "recovery_facts": ["rates", "without_task0", "controls"],
        "floors": [],
    },
}

_PALE, _MIDDLE, _DARK = "#C4689F", "#A64D8A", "#4A1140"
_TROUGH = style.Look(_MIDDLE, "v", f"trough (first {EARLY_STEP} steps)")
_MATCHED = style.Look(_DARK, "D", "where Task 1 is learned")
_BEFORE = style.Look("#8C8C8C", "o", "before Task 1")
_PEAK = style.Look(_PALE, "^", "highest after the trough")


def draw(metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Frames: METRICS of `seq`, its learning-rate arms and what never had Task 0, RECOVERY and RECOVERY_FACTS of these and the controls,
    METRICS floors."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if arm == "seq" or style.is_rate_arm(arm)]
    without_task0 = floor_of("seq", set(recovery["arm"]))
    found = collapse_by_rate(metrics[metrics["arm"].isin([*arms, without_task0])])
    runs, rates = found[found["arm"].isin(arms)], found[["seed", "arm", "rate"]].drop_duplicates()
    points = probe_points(metrics, recovery).merge(rates, on=["seed", "arm"])
    figure, axes = style.new_figure(1, 3, height=3.5, sharex=True)
    first, second, third = axes[0]
    for look, name in ((_BEFORE, "before"), (_PEAK, "peak"), (_TROUGH, "trough")):
        _series(first, runs[runs["name"] == name], look, PROPORTION)
    style.draw_floor(first, floors, "task0_test", "exact_match")
    recovered = task0_rows(recovery)
    recovered = recovered[np.isclose(recovered["epochs"], 1)]
    probes = points.merge(recovered[recovered["start"] == "task1"], on=["seed", "arm", "checkpoint"])
    summary = recovery_summary(recovery_facts, points)
    summary[["value", "low", "high"]] = summary[["spurious_share", "spurious_share_low", "spurious_share_high"]]
    for look, name in ((_MATCHED, "matched"), (_TROUGH, "trough")):
        now, shares = probes[probes["point"] == name], summary[summary["point"] == name]
        _series(second, now[now["arm"].isin(arms)], look, PROPORTION)
        _series(third, shares[shares["arm"].isin(arms)], look, UNBOUNDED)
        if without_task0:
            beside = (runs["rate"].max() / runs["rate"].min()) ** 0.06
            of_seq = shares[shares["arm"] == "seq"].drop(columns=["value", "low", "high"])
            of_seq = style.mean_of(of_seq, "floor_share", ["rate"], metrics["seed"].nunique())
            for panel, rows in ((second, over_seeds(now[now["arm"] == without_task0], ["rate"], kind=PROPORTION)), (third, of_seq)):
                style.error_bars(panel, rows.assign(rate=rows["rate"] * beside), "rate", style.arm_look(without_task0), markersize=4.5)
    second.axhline(
        recovered.loc[recovered["start"] == "pretrained", "value"].mean(), color=style.CONTROLS["pretrained"].color, linestyle=(0, (4, 1.5))
    )
    third.axhline(1, color="#BBBBBB", linewidth=0.8, zorder=0)
    _finish(first, second, third, sorted(runs["rate"].unique()))
    control = style.line_handle("control: pretrained only", style.CONTROLS["pretrained"].color, linestyle=(0, (4, 1.5)))
    text = f"Task 1 {style.unlearned(metrics['seed'].nunique())}: its end"
    unmatched = style.line_handle(text, _DARK, marker="D", markerfacecolor="white", linestyle="none")
    handles = [style.line_handle(look.label, look.color, marker=look.marker) for look in (_BEFORE, _PEAK, _TROUGH, _MATCHED)]
    floor = style.arm_handles([without_task0], linestyle="none") if without_task0 else []
    style.legend(figure, [*handles, unmatched, control, *floor, style.FLOOR_HANDLE], columns=4)
    style.note(figure, metrics, "No point where nothing dropped (the share is then undefined).")
    return figure


def _series(panel: Axes, rows: pd.DataFrame, look: style.Look, kind: Kind) -> None:
    """A line over the rates; open markers, which no line joins, where Task 1 was not learned in every seed (of the matched series only)."""
    merged = over_seeds(rows, ["rate"], kind=kind)
    learned = rows.groupby("rate")["learned"].all().reindex(merged["rate"]).to_numpy()
    filled = learned | (look is not _MATCHED)
    panel.plot(merged["rate"], merged["value"].where(filled), color=look.color)
    style.error_bars(panel, merged[filled], "rate", look)
    style.error_bars(panel, merged[~filled], "rate", look, markerfacecolor="white")


def _finish(first: Axes, second: Axes, third: Axes, rates: list[float]) -> None:
    style.accuracy_axis(first, "Task 0 exact match\n(share of answers)")
    style.accuracy_axis(second, "")
    second.tick_params(labelleft=False)
    third.set_ylabel("share of the drop")
    first.set_xscale("log")
    for panel, letter, text in ((first, "a", "without recovery"), (second, "b", "after one epoch"), (third, "c", "spurious share")):
        style.title(panel, letter, text)
        panel.set_xticks(rates, [f"{rate:.0e}".replace("e-0", "e-") for rate in rates], rotation=45)
        panel.set_xticks([], minor=True)
    second.set_xlabel("Task 1 learning rate (log scale)")
