"""The one look of all figures: what colour and marker an arm has, how an interval is drawn, and how a figure becomes files.

An arm looks the same in every figure, as `look.py` of its method says: each family of arms has a marker and a ramp of colours, on which
its knob has a place (after the palette of Okabe and Ito). Arms that never had Task 0 are dotted purple with open pentagons. Controls are
greys.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike, NDArray

from forgetting.config.names import Marker, families, families_of_methods
from forgetting.data.points import NO_TASK0, never_had_task0
from forgetting.statistics import PROPORTION, Kind, over_seeds
from forgetting.tables import output_paths, write_formats

FORMATS = ("pdf", "png", "svg")
_NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}, "png": {}}
_STYLE_FILE = Path(__file__).parent / "forgetting.mplstyle"

WIDTH = 5.5
"""Of every figure, in inches: the text of a page."""
ALONG = (0.1, 0.2)
"""Where a path that goes up and down has its marks: the first and their distance, as shares of the diagonal of its panel."""
FEW_SEEDS = 5
"""Up to so many, the seeds are drawn beside their mean."""
_SEED = "single seed"
"""Marks what shows one seed beside the mean, so that the small print can say whether there is any."""
_SEED_LINE: dict[str, Any] = {"gid": _SEED, "linewidth": 0.4, "alpha": 0.45, "marker": "", "zorder": 1.4}
_SEED_DOT: dict[str, Any] = {
    "gid": _SEED,
    "marker": "o",
    "markersize": 2.2,
    "alpha": 0.45,
    "markeredgewidth": 0,
    "zorder": 1.4,
    "clip_on": False,
}
SEQUENTIAL = "#D55E00"
MODAL_ANSWER = "#8C8C8C"
CONTROL_LABEL = "#5A5A5A"
BAND = "#F4F4F4"
"""Behind every other row or column, so that its marks are seen to belong together."""


class Look(NamedTuple):
    """How an arm (or a control) is drawn, and what the legend calls it. face: of the marker, in its colour where None."""

    color: str
    marker: Marker
    label: str
    line: str = "-"
    face: str | None = None


CONTROLS = {
    "pretrained": Look("#1A1A1A", "P", "pretrained only"),
    "random": Look("#919191", "X", "random weights"),
    "shuffled": Look("#6E6E6E", "*", "shuffled answers"),
    "control": Look(CONTROL_LABEL, ".", "control persons"),
    "modal_answer": Look(MODAL_ANSWER, "", "modal answer"),
}


_FAMILIES = families()
"""How each method's arms are drawn, in the order of legends."""


def arm_family(arm: str) -> str | None:
    """The family of an arm, from its name; None for a name of another kind."""
    return next((name for name, family in _FAMILIES.items() if re.fullmatch(family.pattern, arm)), None)


def arm_knob(arm: str, family: str) -> float | None:
    """The (last) number in the name of an arm of this family, 0 if there is none; None for arms of other families."""
    found = re.fullmatch(_FAMILIES[family].pattern, arm)
    return None if found is None else float((found.groups() or (0,))[-1])


def arm_look(arm: str) -> Look:
    """Colour, marker and legend text of an arm, from its name alone (so that they are the same in every figure)."""
    if never_had_task0(arm):
        base = arm_look(arm.removesuffix(NO_TASK0))
        color = "#5E3C99" if base.color == SEQUENTIAL.lower() else "#8A6FB3"
        return Look(color, "p", f"{base.label}, never had Task 0", line=":", face="white")  # LAMOL's pentagons are filled
    name = arm_family(arm)
    if name is None:
        return Look("#7A6A2F", "D", arm)
    family, knob = _FAMILIES[name], arm_knob(arm, name)
    assert knob is not None
    if name == "seq-lr":
        return rate_look(knob)
    ramp = LinearSegmentedColormap.from_list(name, list(family.colors))
    text = "freeze embedding" if arm == "freeze-0" else re.sub(family.pattern, family.label, arm)
    return Look(to_hex(ramp(family.place(knob))), family.marker, text)


def method_looks(arms: Iterable[str]) -> dict[str, Look]:
    """By arm the look of its method, that of the middle of its first family: for figures of more arms than can be told apart. An arm that
    no method claims has its own."""
    of_method = {family.name: found[0] for found in families_of_methods().values() for family in found}
    looks = {}
    for arm in arm_order(arms):
        name = arm_family(arm)
        looks[arm] = arm_look(arm)
        if name is not None:
            first = of_method[name]
            color = to_hex(LinearSegmentedColormap.from_list(first.name, list(first.colors))(0.5))
            looks[arm] = Look(color, first.marker, re.split(r",| \\1", first.label)[0])
    return looks


def rate_look(rate: float) -> Look:
    """The look of a learning rate: light below 1e-5, dark above 1e-2."""
    family = _FAMILIES["seq-lr"]
    ramp = LinearSegmentedColormap.from_list("rate", list(family.colors))
    return Look(to_hex(ramp(family.place(rate))), family.marker, family.label.replace(r"\1", f"{rate:.0e}".replace("e-0", "e-")))


def arm_order(arms: Iterable[str]) -> list[str]:
    """Arms as legends list them: family by family, by their knob; others last."""
    names = list(_FAMILIES)

    def place(arm: str) -> tuple[int, float, str]:
        family = arm_family(arm)
        return (names.index(family), arm_knob(arm, family) or 0, arm) if family else (len(names), 0.0, arm)

    return sorted(set(arms), key=place)


def is_rate_arm(arm: str) -> bool:
    return arm_family(arm) == "seq-lr"


def main_arms(arms: Iterable[str]) -> list[str]:
    """The few arms that are drawn in full: seq, the largest replay, and the freeze arm of middle depth."""
    names = arm_order(arms)
    replay = [arm for arm in names if arm_family(arm) == "replay"]
    freeze = [arm for arm in names if arm_family(arm) == "freeze"]
    return [arm for arm in names if arm == "seq"] + replay[-1:] + freeze[len(freeze) // 2 : len(freeze) // 2 + 1]


def new_figure(rows: int, columns: int, height: float, width: float = WIDTH, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure (inches) in the study's style, and its axes as an array (rows, columns)."""
    plt.style.use(_STYLE_FILE)
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def title(axes: Axes, letter: str, text: str) -> None:
    axes.set_title(f"{letter}  {text}")


def draw_curve(
    axes: Axes,
    rows: pd.DataFrame,
    by: str,
    look: Look,
    *,
    kind: Kind = PROPORTION,
    markers: int = 0,
    band: bool = True,
    seeds: bool = True,
    **line: Any,
) -> None:
    """Line of `value` against column `by` (mean over seeds) with its interval as a `band`, and of few `seeds` each as a thin line;
    about `markers` markers on the way. `kind` of number: a share unless said."""
    merged = over_seeds(rows, [by], kind=kind)
    options: dict[str, Any] = {"color": look.color, "linestyle": look.line, "markerfacecolor": look.face} | line
    if markers:
        options |= {"marker": look.marker, "markevery": max(1, round(len(merged) / markers))}
    axes.plot(merged[by], merged["value"], **options)
    if band:
        axes.fill_between(merged[by], merged["low"], merged["high"], color=options["color"], alpha=0.16, linewidth=0)
        for _, of_seed in single_seeds(rows) if seeds else ():
            of_seed = of_seed.sort_values(by)
            axes.plot(of_seed[by], of_seed["value"], color=options["color"], linestyle=options.get("linestyle", "-"), **_SEED_LINE)


def draw_path(axes: Axes, run: pd.DataFrame, color: str, **line: Any) -> None:
    """Task 0 against Task 1 exact match of one arm over time, from its METRICS rows (mean over seeds)."""
    rows = run[(run["metric"] == "exact_match") & (run["kind"] == "all")]
    task0, task1 = (over_seeds(rows[rows["split"] == split], ["step"], kind=PROPORTION) for split in ("task0_test", "task1"))
    both = task0.merge(task1, on="step", suffixes=("_0", "_1")).sort_values("step")
    axes.plot(both["value_1"], both["value_0"], color=color, **({"linewidth": 1.0} | line))


def draw_floor(axes: Axes, floors: pd.DataFrame, split: str, metric: str, *, across: bool = True) -> None:
    """Horizontal (or vertical) line: the accuracy of always giving the most frequent answer."""
    rows = floors[(floors["split"] == split) & (floors["metric"] == metric) & (floors["kind"] == "all")]
    if len(rows):
        line = axes.axhline if across else axes.axvline
        line(float(rows["value"].mean()), color=MODAL_ANSWER, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)), zorder=1)


def error_bars(axes: Axes, rows: pd.DataFrame, x: str, look: Look, **options: Any) -> None:
    """Points of `value` against column `x`, with bars from low to high where an interval is known."""
    drawn: dict[str, Any] = {"color": look.color, "marker": look.marker, "markerfacecolor": look.face, "linestyle": "none"}
    settings = drawn | {"elinewidth": 1.0} | options
    axes.errorbar(rows[x], rows["value"], yerr=beyond(rows), **settings)


def beyond(rows: pd.DataFrame) -> NDArray[np.float64]:
    """How far the intervals reach below and above the values, (2, rows); NaN, of which Matplotlib draws nothing, where none is known."""
    return np.abs(rows[["low", "high"]].to_numpy(dtype=float) - rows["value"].to_numpy(dtype=float)[:, None]).T


def side_by_side(number: int) -> NDArray[np.float64]:
    """How far from a tick of whole numbers each of so many marks stands, as alike ones would hide each other."""
    return np.linspace(-0.12, 0.12, number) if number > 1 else np.zeros(1)


def single_seeds(rows: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The rows of each seed, if there are several and so few that a mean and its interval should not stand alone."""
    if 1 < rows["seed"].nunique() <= FEW_SEEDS:
        yield from rows.groupby("seed")


def seed_dots(axes: Axes, x: ArrayLike, y: ArrayLike, look: Look) -> None:
    """A small pale dot for each seed, behind the mean."""
    axes.plot(x, y, color=look.color, linestyle="none", **_SEED_DOT)


def mean_of(summary: pd.DataFrame, column: str, by: Sequence[str], seeds: int) -> pd.DataFrame:
    """One column of shares of a summary with its interval, over the seeds, if each has it: columns `by`, value, low, high."""
    return over_seeds(values_of(summary, column, by).dropna(subset="value"), by, seeds, kind=PROPORTION)


def values_of(summary: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """One column of a summary with its interval (`column`, `_low`, `_high`): columns seed, `by`, value, low, high."""
    named = {column: "value", f"{column}_low": "low", f"{column}_high": "high"}
    return summary[["seed", *by, *named]].rename(columns=named)


def draw_column(axes: Axes, summary: pd.DataFrame, column: str, by: str, look: Look, seeds: int, **line: Any) -> None:
    """Points of a summary's column of shares against its column `by`, joined by a line, with their bars; of few seeds each as a dot."""
    for _, of_seed in single_seeds(summary.dropna(subset=column)):
        seed_dots(axes, of_seed[by], of_seed[column], look)
    error_bars(axes, mean_of(summary, column, [by], seeds), by, look, **({"linestyle": "-", "linewidth": 0.9} | line))


def line_handle(label: str, color: str = "#444444", **line: Any) -> Line2D:
    return Line2D([], [], color=color, label=label, **line)


FLOOR_HANDLE = line_handle("floor: modal answer", MODAL_ANSWER, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)))
CONTROL_HANDLE = line_handle("floor: control persons", CONTROL_LABEL, linewidth=1.0, linestyle=":")


def arm_handles(arms: Sequence[str], **line: Any) -> list[Line2D]:
    looks = [arm_look(arm) for arm in arms]
    return [
        line_handle(look.label, look.color, **({"marker": look.marker, "linestyle": look.line, "markerfacecolor": look.face} | line))
        for look in looks
    ]


def name_arms(panel: Axes, arms: Sequence[str], labels: Sequence[str] | None = None) -> None:
    """A row for each arm, from the top, with its name (or label)."""
    looks = [arm_look(arm) for arm in arms]
    name_rows(panel, [look._replace(label=label) for look, label in zip(looks, labels, strict=True)] if labels else looks)


def name_rows(panel: Axes, looks: Sequence[Look]) -> None:
    """A row for each look, from the top, with its label in its colour, so that no legend has to say it again."""
    panel.set_yticks(range(len(looks)), [look.label for look in looks])
    for text, look in zip(panel.get_yticklabels(), looks, strict=True):
        text.set_color(look.color)
    panel.set_ylim(len(looks) - 0.5, -0.5)


def legend(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend above all panels, outside the data; of fewer columns, and so more rows, where it would be wider than the figure."""
    for fewer in range(columns, 0, -1):
        made = figure.legend(handles=list(handles), loc="outside upper center", ncols=fewer)
        if fewer == 1 or made.get_window_extent(_renderer(figure)).width <= figure.bbox.width:
            return
        made.remove()


def legend_below(panel: Axes, handles: Sequence[Artist], columns: int) -> None:
    """A legend under the ticks and the label of the horizontal axis, which must be there by now.

    Placed by their height in points, for a share of the panel is more or less by how high the panel is.
    """
    figure = panel.get_figure(root=True)
    assert figure is not None
    axis = panel.xaxis.get_tightbbox(_renderer(figure))
    below = 0.0 if axis is None else (axis.y0 - panel.bbox.y0) / figure.dpi
    panel.legend(
        handles=list(handles),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=panel.transAxes + ScaledTranslation(0, below, figure.dpi_scale_trans),
        ncols=columns,
        borderaxespad=0.3,
        handlelength=1.8,
        columnspacing=0.9,
        handletextpad=0.4,
    )


def _renderer(figure: Figure) -> RendererBase:
    """What sizes of texts are measured with."""
    return FigureCanvasAgg(figure).get_renderer()


def note(figure: Figure, frame: pd.DataFrame, extra: str = "", intervals: str | None = None, shares: bool = True) -> None:
    """Small print below a figure in which all is drawn: how many seeds there are, what `intervals` are (those that are drawn, unless said;
    of `shares` of answers or of something else), and how a single seed looks."""
    lines = [artist for artist in figure.findobj(Line2D) if isinstance(artist, Line2D)]
    dots = {line.get_linestyle() == "None" for line in lines if line.get_gid() == _SEED}
    words = [word for is_dot, word in ((False, "thin lines"), (True, "pale dots")) if is_dot in dots]
    single = f" {' and '.join(words).capitalize()}: single seeds." if words else ""
    small_print(figure, f"{interval_note(frame, intervals or _drawn_intervals(figure), shares)}{single} {extra}")


def _drawn_intervals(figure: Figure) -> str:
    bands = any(isinstance(drawn, PolyCollection) and drawn.get_paths() for panel in figure.axes for drawn in panel.collections)
    segments = [
        segment
        for panel in figure.axes
        for drawn in panel.containers
        if isinstance(drawn, ErrorbarContainer)
        for lines in drawn.lines[2]
        for segment in lines.get_segments()
    ]
    bars = any(len(segment) and np.ptp(segment, axis=0).any() for segment in segments)
    return " and ".join(name for name, there in (("bands", bands), ("bars", bars)) if there)


def small_print(figure: Figure, text: str) -> None:
    """Text below all panels, wrapped to the width of the figure."""
    characters = int(18 * figure.get_figwidth())
    figure.supxlabel(textwrap.fill(text, characters), fontsize=7, color="#555555", x=0.01, ha="left")


def interval_note(frame: pd.DataFrame, intervals: str, shares: bool = True) -> str:
    """What `intervals` are; where none is drawn, that there is none."""
    seeds = frame["seed"].nunique()
    one = "clustered by person" + "; at exactly 0 and 1 by their number alone" * shares
    of = "over seeds (Student's t, within bounds, no narrower than over persons)" if seeds > 1 else one
    of_what = f"Mean of {seeds} seeds" if seeds > 1 else "One seed"
    return f"{of_what}; {intervals}: 95 % interval {of}." if intervals else f"{of_what}{'' if seeds > 1 else ', so no intervals'}."


def unlearned(seeds: int) -> str:
    """What a missing or open mark says about Task 1: with several seeds one that failed is enough."""
    return "never learned" if seeds == 1 else "not learned in every seed"


def plain_numbers(axis: Axis) -> None:
    """10, 100, 1,000 at the ticks of a logarithmic axis: the exponents of powers would be below the size of all other type."""
    axis.set_major_formatter(
        lambda value, _: f"{value:,g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.0e}".replace("e-0", "e-")
    )
    axis.set_minor_formatter(NullFormatter())


def accuracy_axis(axes: Axes, label: str) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylabel(label)


def opened_axis(axes: Axes, label: str) -> None:
    """A horizontal axis of shares by their square roots: opens what lies near 0, where Task 1 is hardly learned and much is lost."""
    axes.set_xscale("function", functions=(_root, _square))
    ticks = [0, 0.05, 0.2, 0.4, 0.7, 1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(-0.001, 1.03)
    axes.set_xlabel(f"{label},\nsquare-root scale")


def _root(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Also of the little below 0 that a panel shows."""
    return np.sign(share) * np.sqrt(np.abs(share))


def _square(root: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(root) * root**2


def save_figure(figure: Figure, outputs: Sequence[str | Path]) -> None:
    """Write the figure to the given files, or to a stem as pdf, png and svg. The same figure gives the same bytes."""
    with matplotlib.style.context(_STYLE_FILE):
        write_formats(output_paths(outputs, FORMATS), lambda path, kind: figure.savefig(path, format=kind, metadata=_NO_DATE[kind]))
