"""The picture of an advice: what each method keeps of the old task, against what it learns of the new one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from forgetting.config.names import Marker
from forgetting.figures import style
from forgetting.figures.style import Look

INK = "#1A1A1A"
RAMPS: dict[str, tuple[Marker, list[str]]] = {
    "seq": ("o", ["#C4501B", "#C4501B"]),
    "freeze": ("^", ["#0FA676", "#0A6E4F", "#04301F"]),
    "lora": ("D", ["#7B3F9E", "#7B3F9E"]),
    "replay": ("s", ["#2F8FD0", "#00507D"]),
}
"""Marker and colours of a kind of method, from its first to its last."""


def looks(methods: pd.DataFrame) -> dict[str, Look]:
    """How each method is drawn; the right panel names them, so that there is no legend. `methods`: METHODS rows."""
    kinds = methods["method"].str.partition("-")[0]
    found = {}
    for kind, rows in methods.groupby(kinds, sort=False):
        marker, colors = RAMPS[str(kind)]
        ramp = LinearSegmentedColormap.from_list(str(kind), colors)
        for place, row in enumerate(rows.itertuples()):
            found[str(row.method)] = Look(to_hex(ramp(place / max(1, len(rows) - 1))), marker, str(row.words))
    return found


def draw_advice(curves: pd.DataFrame, methods: pd.DataFrame, level: float) -> Figure:
    """Left: the way of each method over its steps, and where it stops. Right: what it keeps there. `curves`, `methods`: CURVES and METHODS
    rows; level: accuracy of the new task at which it is learned. All on the reported units."""
    figure, axes = style.new_figure(1, 2, height=3.3, width_ratios=[1.0, 0.85])
    drawn = looks(methods)
    _draw_ways(axes[0, 0], curves[curves["part"] == "test"], methods, level, drawn)
    _draw_kept(axes[0, 1], methods, curves, drawn)
    ringed = " Ringed: taken." if methods["taken"].any() else ""
    style.small_print(
        figure,
        "Star and dotted: before training. Small marks: the steps of a trial; large ones: where a method stops (open: it did not learn). "
        f"Dashed: the new task counts as learned. Bars: 95 % interval.{ringed}",
    )
    return figure


def _draw_ways(panel: Axes, curves: pd.DataFrame, methods: pd.DataFrame, level: float, drawn: dict[str, Look]) -> None:
    for method, look in drawn.items():
        way = curves[curves["method"] == method].sort_values("step")
        panel.plot(way["new"], way["old"], color=look.color, linewidth=0.9, marker=look.marker, markersize=2.2, zorder=2)
    for row in methods.itertuples():
        look, edge = drawn[str(row.method)], INK if row.taken else "white"
        face = look.color if row.learned else "white"
        across, along = _reach(row, "new"), _reach(row, "old")
        panel.errorbar(row.new, row.old, xerr=across, yerr=along, color=look.color, elinewidth=0.7, linestyle="none", zorder=3)
        panel.plot(
            row.new, row.old, marker=look.marker, markersize=6.5, color=face, markeredgecolor=edge if row.learned else look.color, zorder=4
        )
        if row.taken:
            panel.plot(row.new, row.old, marker="o", markersize=13, markerfacecolor="none", markeredgecolor=INK, zorder=5)
    start = curves[curves["step"] == 0].iloc[0]
    panel.plot(start["new"], start["old"], marker="*", markersize=10, color=INK, linestyle="none", zorder=5, clip_on=False)
    panel.axvline(level, color="#6E6E6E", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    style.accuracy_axis(panel, "old task, reported units")
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("new task")
    style.title(panel, "a", "The way of each method")


def _draw_kept(panel: Axes, methods: pd.DataFrame, curves: pd.DataFrame, drawn: dict[str, Look]) -> None:
    rows = methods.reset_index(drop=True)
    for place, row in enumerate(rows.itertuples()):
        look = drawn[str(row.method)]
        if not row.learned:
            panel.text(0.02, place, "did not learn the new task", fontsize=7, va="center", color="#444444")
            continue
        panel.errorbar(row.old, place, xerr=_reach(row, "old"), color=look.color, marker=look.marker, markersize=5.5)
        if row.taken:
            panel.plot(row.old, place, marker="o", markersize=12, markerfacecolor="none", markeredgecolor=INK)
    before = curves[curves["step"] == 0].iloc[0]["old"]
    panel.axvline(before, color=INK, linewidth=0.9, linestyle=":", zorder=1)
    panel.set_yticks(range(len(rows)), [_short(name) for name in rows["method"]])
    for text, name in zip(panel.get_yticklabels(), rows["method"], strict=True):
        text.set_color(drawn[name].color)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("old task, where it stops")
    style.title(panel, "b", "What is kept")


def _reach(row: Any, name: str) -> NDArray[np.float64]:
    """(2, 1) how far the interval of a number reaches below and above it."""
    value = getattr(row, name)
    return np.abs([[value - getattr(row, f"{name}_low")], [getattr(row, f"{name}_high") - value]])


def _short(method: str) -> str:
    kind, _, number = method.partition("-")
    return {"seq": "plain", "lora": "LoRA", "freeze-0": "freeze embedding"}.get(method, f"{kind} {number} %")
