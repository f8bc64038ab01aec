"""What are the pseudo examples of LAMOL worth?

**What it shows.** What LAMOL trains on instead of stored questions: examples that the model wrote itself
after Task 0.

**How to read it.** All are shares of the texts that were sampled: those in the format of a question and an answer;
of these each once; those of them that ask a question of Task 0 training, and that also give its answer; those that
name a person that no training may see, and are dropped; and what is left to train on. Arms that differ in how often
they train on a text have the same texts. Open diamonds: the reference, before its first new task, without an
interval, and without what it did not report.

**What to look for.** How far *used* reaches beyond *right answer*: so much is training on made-up facts.

**What would contradict its merit.** Few right answers: then LAMOL rehearses the format, not the knowledge.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.comparison import nothing_generated
from forgetting.figures import style
from forgetting.intervals import wilson
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Which method helps?",
    "in": "methods",
    "order": 6,
    "only_if": "compared:lamol",
    "inputs": {
        "metrics": ["compared:lamol"],
        "paper": [],
    },
}

_MARKERS: tuple[style.Marker, ...] = ("p", "o", "s", "^", "v", ">")
"""Of arms, from above: those of one family would all have the same."""
_CHECKS = {
    "parsed": "in the format of\na question and answer",
    "distinct": "distinct",
    "real_question": "a real Task 0 question",
    "right_answer": "with the right answer",
    "held_out": "names a held-out\nperson (dropped)",
    "used": "used",
}


def draw(metrics: pd.DataFrame, paper: dict[str, Any]) -> Figure:
    """`metrics`: METRICS of the task1 runs (the LAMOL arms are used). `paper`: as `read_paper` gives it. Raises ValueError when no run
    reports how many examples it generated."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if style.arm_family(arm) in ("lamol", "lamol-distinct")]
    generated = metrics.loc[metrics["metric"].eq("pseudo_generated") & metrics["arm"].isin(arms), "value"]
    if generated.empty:
        raise ValueError("the metrics have no pseudo_generated row of a LAMOL arm")
    rows = yields(metrics[metrics["arm"].isin(arms)])
    seeds = metrics["seed"].nunique()
    figure, axes = style.new_figure(1, 1, height=3.3)
    panel = axes[0, 0]
    looks = [style.arm_look(arm)._replace(marker=marker) for arm, marker in zip(arms, itertools.cycle(_MARKERS))]
    for place, (arm, look) in enumerate(zip(arms, looks, strict=True)):
        shift = 0.9 * ((place + 1) / (len(arms) + 1) - 0.5)
        _arm(panel, over_seeds(rows[rows["arm"] == arm], ["check"], seeds, kind=PROPORTION), look, shift)
    published = paper["pseudo_examples"]
    for place, check in enumerate(_CHECKS):
        if check in published:
            share = published[check] / published["generated"]
            panel.plot(share, place, color="#222222", marker="D", markerfacecolor="none", markersize=7, linestyle="none", clip_on=False)
    _finish(panel)
    reference = style.line_handle("reference, first task", "#222222", marker="D", markerfacecolor="none", markersize=7, linestyle="none")
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle="none") for look in looks]
    style.legend(figure, [*handles, reference], columns=4)
    silent = "".join(f" {style.arm_look(arm).label}: {text}." for arm, text in nothing_generated(metrics).items())
    counts = " to ".join(f"{count:,.0f}" for count in sorted({generated.min(), generated.max()}))
    style.small_print(
        figure,
        f"{counts} examples generated a run. {_intervals(seeds)} Reference: {published['generated']:,} examples, {published['source']} "
        f"({published['reliability']}); another model and data.{silent}",
    )
    return figure


def yields(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows seed, arm, check, value, low, high: the share of the generated examples that passes the check, with its Wilson interval.

    Checks that a run does not report, and runs that generated nothing, are left out."""
    counts = metrics[(metrics["split"] == "train") & metrics["metric"].str.startswith("pseudo_")]
    counts = counts.assign(check=counts["metric"].str.removeprefix("pseudo_"))[["seed", "arm", "check", "value"]]
    generated = counts.loc[(counts["check"] == "generated") & (counts["value"] > 0), ["seed", "arm", "value"]]
    rows = counts[counts["check"].isin(list(_CHECKS))].merge(generated.rename(columns={"value": "n"}), on=["seed", "arm"])
    low, high = wilson(np.minimum(rows["value"], rows["n"]), rows["n"])
    return rows.assign(value=rows["value"] / rows["n"], low=low, high=high).drop(columns="n")


def _arm(panel: Axes, rows: pd.DataFrame, look: style.Look, shift: float) -> None:
    places = rows["check"].map(list(_CHECKS).index) + shift
    panel.errorbar(
        rows["value"], places, xerr=style.beyond(rows), color=look.color, marker=look.marker, markersize=5, linestyle="none", clip_on=False
    )


def _finish(panel: Axes) -> None:
    panel.set_yticks(range(len(_CHECKS)), list(_CHECKS.values()))
    panel.set_ylim(len(_CHECKS) - 0.5, -0.5)
    panel.set_xlim(-0.02, 1.02)
    panel.set_xlabel("share of the generated examples")
    panel.set_ylabel("what holds")
    panel.set_title("pseudo examples of Task 0 that LAMOL wrote itself")


def _intervals(seeds: int) -> str:
    if seeds == 1:
        return "One seed; bars: 95 % Wilson interval over examples."
    return f"Mean of {seeds} seeds; bars: 95 % interval over seeds (Student's t on the logit)."
