"""The propositions of the paper, measured layer by layer.

**What it shows.** The propositions of the paper, measured at the last prompt token of held-out Task 0
questions: an update that avoids the leading directions of a layer's inputs shifts its outputs nearly
orthogonally to their leading components; shifts add up with depth; freezing the bottom layers makes them
smaller.

**How to read it.** *a*: one point a linear map; to the right of the line the update acts more on leading
inputs than a random one would, above the line the outputs shift more along their leading components than they
would by chance. *b*: the same share for the residual stream, by layer; grey is the middle 95 % of random
updates. *c*: the size of the shift in units of the spread before it. *d*: the shift of the last layer with n
frozen layers, as a share of that of ``seq`` at the same checkpoint; the black line is what the bound predicts
from the parts of ``seq``.

**What to look for.** Whether points and lines lie below chance in a and b, as the first proposition says;
whether c rises with depth; whether d falls with n and how close it comes to the bound.

**What would contradict the theory.** Shares at or above chance in a and b. A flat c. A last layer that moves
as far with frozen layers as without, above all at the end, where arms with frozen layers have been trained
for longer.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.propositions import NO_FREEZE, SPLIT, STREAM, dose_pairs, freeze_depth
from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, RATIO, Kind, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "theory": ["main", "compared:freeze"],
    },
}

_STAGES: dict[str, dict[str, Any]] = {TASK1_EARLY: {"linestyle": "-"}, TASK1_END: {"linestyle": "--"}}
_TEXT = {TASK1_EARLY: WORDS[EARLY], TASK1_END: WORDS[END]}
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linestyle": ":", "linewidth": 1.0}
_BOUND = style.Look("#1A1A1A", "", "bound from seq's own parts (d)")


def draw(theory: pd.DataFrame) -> Figure:
    """a: every linear map, where the update acts against where it shifts the output; b, c: the residual stream by layer; d: its last layer
    against the number of frozen layers. Frame: THEORY, of any arms."""
    rows = theory[theory["split"] == SPLIT]
    arms = style.arm_order(rows["arm"])
    figure, axes = style.new_figure(2, 2, height=5.6)
    _maps(axes[0, 0], rows, arms)
    _by_layer(axes[0, 1], rows, arms, "single_shifts_along", PROPORTION)
    _by_layer(axes[1, 0], rows, arms, "relative_shift_norm", RATIO)
    _freezing(axes[1, 1], rows, arms)
    for letter, panel, text in zip(
        "abcd", axes.flat, ("linear maps", "direction of the shift", "size of the shift", "freezing"), strict=True
    ):
        style.title(panel, letter, text)
    axes[0, 1].set(xlabel="layer", ylabel="share of the shifts along\nleading components", ylim=(0, None))
    axes[1, 0].set(xlabel="layer", ylabel="shift / spread before", ylim=(0, None))
    stages = [style.line_handle(f"after Task 0 to {_TEXT[stage]} (b, c, d)", **line) for stage, line in _STAGES.items()]
    marks = [style.line_handle("chance", **_CHANCE), style.line_handle(_BOUND.label, _BOUND.color, linewidth=0.8)]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *stages, *marks], columns=4)
    style.note(
        figure,
        rows,
        f"Task 0 test persons, last prompt token. a: one point a linear map, after Task 0 to {WORDS[EARLY]}. "
        "b: grey, the middle 95 % of random updates; a layer that did not move has no point. "
        "d: the shift of seq at the same checkpoint is 1 (open mark).",
    )
    return figure


def _maps(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    for arm in arms:
        chosen = rows[(rows["arm"] == arm) & (rows["after"] == TASK1_EARLY)]
        pairs = [found for _, of_seed in chosen.groupby("seed") if (found := dose_pairs(of_seed)) is not None]
        if not pairs:
            continue
        mean = pd.concat(pairs).groupby(level=["layer", "component"]).mean()
        look = style.arm_look(arm)
        panel.plot(*mean.to_numpy().T, color=look.color, marker=look.marker, linestyle="none", markersize=3.2, alpha=0.8)
    panel.axhline(1, **_CHANCE)
    panel.axvline(1, **_CHANCE)
    panel.set(xscale="log", yscale="log")
    panel.set_xlabel("update on leading inputs / chance")
    panel.set_ylabel("output shift along leading\ncomponents / chance")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


def _by_layer(panel: Axes, rows: pd.DataFrame, arms: list[str], metric: str, kind: Kind) -> None:
    chosen = rows[(rows["component"] == STREAM) & (rows["metric"] == metric)]
    for arm in arms:
        for stage, line in _STAGES.items():
            of_stage = chosen[(chosen["arm"] == arm) & (chosen["after"] == stage)]
            style.draw_curve(panel, of_stage, "layer", style.arm_look(arm), kind=kind, markers=20, **line)
    chance = chosen.groupby("layer")[["chance", "chance_low", "chance_high"]].agg(
        {"chance": "mean", "chance_low": "min", "chance_high": "max"}
    )
    if chance["chance"].notna().any():
        panel.plot(chance.index, chance["chance"], **_CHANCE)
        panel.fill_between(chance.index, chance["chance_low"], chance["chance_high"], color=style.MODAL_ANSWER, alpha=0.2, linewidth=0)
    panel.set_xticks(sorted(chosen["layer"].unique())[:: max(1, chosen["layer"].nunique() // 6)])


def _freezing(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    """Shift of the last layer over that of seq at the same checkpoint and seed, against n; and what the bound of seq says."""
    stream = rows[rows["component"] == STREAM]
    last = stream[(stream["metric"] == "shift_norm") & (stream["layer"] == stream["layer"].max())]
    unit = last[last["arm"] == NO_FREEZE].set_index(["seed", "after"])["value"].rename("unit")
    frozen = [arm for arm in arms if freeze_depth(arm) is not None]
    for stage, line in _STAGES.items():
        points = relative_to(last[last["after"] == stage], unit).assign(n=lambda frame: [_depth(arm) for arm in frame["arm"]])
        shown = over_seeds(points[points["arm"].isin(frozen)], ["n"], rows["seed"].nunique(), kind=RATIO)
        panel.plot(shown["n"], shown["value"], color="#004A35", linewidth=0.9, **line)
        for arm in frozen:
            here = over_seeds(points[points["arm"] == arm], ["n"], rows["seed"].nunique(), kind=RATIO)
            style.error_bars(panel, here, "n", style.arm_look(arm), markersize=4.5)
        bound = relative_to(stream[(stream["metric"] == "bound_if_frozen") & (stream["after"] == stage)], unit)
        bound = over_seeds(bound[bound["arm"] == NO_FREEZE], ["layer"], rows["seed"].nunique(), kind=RATIO)
        panel.plot(bound["layer"], bound["value"], color=_BOUND.color, linewidth=0.8, **line)
    if len(unit):
        look = style.arm_look(NO_FREEZE)
        panel.plot([-1], [1], color=look.color, marker=look.marker, markerfacecolor="white", linestyle="none")
    panel.axhline(1, color=style.MODAL_ANSWER, linewidth=0.6)
    panel.set(xlabel="frozen bottom layers n (and the embedding)", ylabel="shift of the last layer\n/ that of seq", ylim=(0, None))
    depths = range(int(stream["layer"].max()) + 1)
    panel.set_xticks([-1, *depths], ["none", *map(str, depths)])


def _depth(arm: str) -> int:
    depth = freeze_depth(arm)
    return -1 if depth is None else depth


def relative_to(rows: pd.DataFrame, unit: pd.Series) -> pd.DataFrame:
    """`rows` with value, low and high divided by the `unit` of their seed and checkpoint (index: seed, after)."""
    joined = rows.join(unit, on=["seed", "after"])
    return joined.assign(**{name: joined[name] / joined["unit"] for name in ("value", "low", "high")})
