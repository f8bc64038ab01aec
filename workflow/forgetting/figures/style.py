"""The one look of all figures: what colour and marker an arm has, how an interval is drawn, and how a figure becomes files.

An arm looks the same in every figure: `seq` is vermilion, `replay-*` blue, `freeze-*` a green ramp by depth, learning-rate arms a purple
ramp by rate, controls are greys (after the palette of Okabe and Ito; the families differ in their markers, too).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from forgetting.outputs import output_paths, write_formats
from forgetting.statistics import over_seeds

FORMATS = ("pdf", "png", "svg")
_NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}, "png": {}}
_STYLE_FILE = Path(__file__).parent / "forgetting.mplstyle"

SEQUENTIAL = "#D55E00"
MODAL_ANSWER = "#8C8C8C"
CONTROL_PERSONS = "#5A5A5A"
_REPLAY_RAMP = LinearSegmentedColormap.from_list("replay", ["#56B4E9", "#0072B2", "#003A5C"])
_FREEZE_RAMP = LinearSegmentedColormap.from_list(
    "freeze", [(0, "#B5EBD6"), (0.27, "#5FCFA5"), (0.43, "#0FA374"), (0.54, "#00704F"), (0.63, "#004A35"), (1, "#00140E")]
)
_RATE_RAMP = LinearSegmentedColormap.from_list("rate", ["#E3A8CB", "#A64D8A", "#4A1140"])


class Look(NamedTuple):
    """How an arm (or a control) is drawn, and what the legend calls it."""

    color: str
    marker: str
    label: str


CONTROLS = {
    "pretrained": Look("#1A1A1A", "P", "pretrained only"),
    "random": Look("#A6A6A6", "X", "random weights"),
    "shuffled": Look("#6E6E6E", "*", "shuffled answers"),
    "control": Look(CONTROL_PERSONS, ".", "control persons"),
    "modal_answer": Look(MODAL_ANSWER, "", "modal answer"),
}


def arm_look(arm: str) -> Look:
    """Colour, marker and legend text of an arm, from its name alone (so that they are the same in every figure)."""
    if arm == "seq":
        return Look(SEQUENTIAL, "o", "seq")
    if found := re.fullmatch(r"replay-([\d.]+)", arm):
        share = float(found[1])
        return Look(to_hex(_REPLAY_RAMP(np.clip(np.log10(max(share, 1)) / np.log10(50), 0, 1))), "s", f"replay {found[1]} %")
    if found := re.fullmatch(r"freeze-(\d+)", arm):
        depth = int(found[1])
        return Look(to_hex(_FREEZE_RAMP(np.log1p(depth) / np.log(13))), "^", "freeze embedding" if depth == 0 else f"freeze {depth}")
    if found := re.fullmatch(r"seq-lr-([\d.e+-]+)", arm):
        return rate_look(float(found[1]))
    return Look("#7A6A2F", "D", arm)


def rate_look(rate: float) -> Look:
    """The look of a learning rate: light below 1e-5, dark above 1e-2."""
    return Look(to_hex(_RATE_RAMP(np.clip((np.log10(rate) + 5) / 3, 0, 1))), "D", f"seq, rate {rate:.0e}".replace("e-0", "e-"))


def arm_order(arms: Iterable[str]) -> list[str]:
    """Arms as legends list them: seq, replay by share, freeze by depth, learning rates, others."""

    def place(arm: str) -> tuple[int, float, str]:
        for family, pattern in enumerate((r"seq()", r"replay-([\d.]+)", r"freeze-(\d+)", r"seq-lr-([\d.e+-]+)")):
            if found := re.fullmatch(pattern, arm):
                return family, float(found[1] or 0), arm
        return 4, 0.0, arm

    return sorted(set(arms), key=place)


def freeze_depth(arm: str) -> int | None:
    """The number of frozen layers in the name of a freeze arm; None for other arms."""
    found = re.fullmatch(r"freeze-(\d+)", arm)
    return int(found[1]) if found else None


def is_rate_arm(arm: str) -> bool:
    return arm.startswith("seq-lr-")


def main_arms(arms: Iterable[str]) -> list[str]:
    """The few arms that are drawn in full: seq, the largest replay, and the freeze arm of middle depth."""
    names = arm_order(arms)
    replay = [arm for arm in names if arm.startswith("replay-")]
    freeze = [arm for arm in names if freeze_depth(arm) is not None]
    return [arm for arm in names if arm == "seq"] + replay[-1:] + freeze[len(freeze) // 2 : len(freeze) // 2 + 1]


def new_figure(rows: int, columns: int, height: float, width: float = 7.0, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure (inches) in the study's style, and its axes as an array (rows, columns)."""
    plt.style.use(_STYLE_FILE)
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def title(axes: Axes, letter: str, text: str) -> None:
    axes.set_title(f"{letter}  {text}")


def draw_curve(axes: Axes, rows: pd.DataFrame, by: str, look: Look, *, markers: int = 0, band: bool = True, **line: Any) -> None:
    """Line of `value` against column `by` (mean over seeds) with its interval as a band; about `markers` markers on the way."""
    merged = over_seeds(rows, [by])
    options: dict[str, Any] = {"color": look.color} | line
    if markers:
        options |= {"marker": look.marker, "markevery": max(1, round(len(merged) / markers))}
    axes.plot(merged[by], merged["value"], **options)
    if band:
        axes.fill_between(merged[by], merged["low"], merged["high"], color=options["color"], alpha=0.16, linewidth=0)


def draw_floor(axes: Axes, floors: pd.DataFrame, group: str, metric: str) -> None:
    """Horizontal line: the accuracy of always giving the most frequent answer."""
    rows = floors[(floors["group"] == group) & (floors["metric"] == metric) & (floors["attribute"] == "all")]
    if len(rows):
        axes.axhline(float(rows["value"].mean()), color=MODAL_ANSWER, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)), zorder=1)


def error_bars(axes: Axes, rows: pd.DataFrame, x: str, look: Look, **options: Any) -> None:
    """Points of `value` against column `x`, with bars from low to high where an interval is known."""
    beyond = np.nan_to_num(np.abs(rows[["low", "high"]].to_numpy(dtype=float) - rows["value"].to_numpy(dtype=float)[:, None]).T)
    settings: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "elinewidth": 1.0} | options
    axes.errorbar(rows[x], rows["value"], yerr=beyond, **settings)


def line_handle(label: str, color: str = "#444444", **line: Any) -> Line2D:
    return Line2D([], [], color=color, label=label, **line)


FLOOR_HANDLE = line_handle("floor: modal answer", MODAL_ANSWER, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)))
CONTROL_HANDLE = line_handle("floor: control persons", CONTROL_PERSONS, linewidth=1.0, linestyle=":")


def arm_handles(arms: Sequence[str], **line: Any) -> list[Line2D]:
    looks = [arm_look(arm) for arm in arms]
    return [line_handle(look.label, look.color, marker=look.marker, **line) for look in looks]


def legend(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend above all panels, outside the data."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def note(figure: Figure, frame: pd.DataFrame, extra: str = "") -> None:
    """Small print below the figure: how many seeds there are, and what the bands therefore are."""
    small_print(figure, f"{interval_note(frame)} {extra}")


def small_print(figure: Figure, text: str) -> None:
    """Text below all panels, wrapped to the width of the figure."""
    characters = int(20 * figure.get_figwidth())
    figure.supxlabel(textwrap.fill(text, characters), fontsize=6.5, color="#555555", x=0.01, ha="left")


def interval_note(frame: pd.DataFrame) -> str:
    seeds = frame["seed"].nunique()
    if seeds > 1:
        return f"Lines: mean of {seeds} seeds; bands and bars: 95 % Student t interval over seeds."
    return "One seed; bands and bars: 95 % interval, clustered by person."


def unlearned(seeds: int) -> str:
    """What a missing or open mark says about Task 1: with several seeds one that failed is enough."""
    return "never learned" if seeds == 1 else "not learned in every seed"


def accuracy_axis(axes: Axes, label: str) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylabel(label)


def save_figure(figure: Figure, outputs: Sequence[str | Path]) -> None:
    """Write the figure to the given files, or to a stem as pdf, png and svg. The same figure gives the same bytes."""
    with matplotlib.style.context(_STYLE_FILE):
        write_formats(output_paths(outputs, FORMATS), lambda path, kind: figure.savefig(path, format=kind, metadata=_NO_DATE[kind]))
