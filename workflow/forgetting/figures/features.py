"""How the residual stream moves between the stages.

**What it shows.** How the inner representation of the Task 0 questions moves while Task 1 is learned: the
residual stream at the last token of the question, layer by layer.

**How to read it.** Solid lines compare the model after Task 0 with step 150 of Task 1, dashed lines with the
end; the black line is the change that Task 0 training itself made. *a*: how far the mean moved, in units of
the spread before. *b*: the share of that shift within the leading principal components; the dotted line is
the share of a random direction. *c*: linear CKA, 1 where the geometry is the same up to rotation and scale.
*d*, *e*: the logit lens: each layer is read by the final norm and the output embedding
as if the model had to answer there; the share of questions whose right value leads, and its mean rank among
all values of the attribute. Thin lines: control persons. *f*: single questions after Task 0, at step 150 and
at the end, in the plane of the leading component and of the shift.

**What to look for.** A large common shift with a CKA that hardly falls: the representation was
moved, not destroyed. Shifts that grow with depth, and less under freezing.

**What would contradict the claim.** A shift mostly along the leading
components contradicts the theory, in which it is nearly orthogonal to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from forgetting.data.points import EARLY, EARLY_STEP, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, RATIO, Kind, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 1,
    "inputs": {
        "features": ["viewed"],
        "points": ["viewed"],
    },
}

_SPLIT, _CONTROL = "task0_test", "control"
_STAGES: dict[str, dict[str, Any]] = {TASK1_EARLY: {"linestyle": "-"}, TASK1_END: {"linestyle": "--"}}
_REFERENCE = style.Look("#1A1A1A", "P", "Task 0 training itself (d, e: after Task 0)")
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linestyle": ":", "linewidth": 1.0}
_CONTROL_LINE: dict[str, Any] = {"linestyle": "-.", "linewidth": 0.8}
_PANELS = {
    "relative_shift": ("size of the shift", "shift / spread before", RATIO),
    "shift_along_leading": ("its direction", "share along\nleading components", PROPORTION),
    "cka": ("similarity", "linear CKA", PROPORTION),
    "lens_lead": ("logit lens", "share where right\nvalue leads", PROPORTION),
    "lens_rank": ("logit lens, rank", "mean rank of right\nvalue among all", RATIO),
}
"""Titles, labels and the kind of number."""


def draw(features: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """Above: numbers by layer; below: single questions before and after, one panel an arm. Frames: FEATURES, FEATURE_POINTS."""
    arms = style.arm_order(features["arm"])
    columns = max(3, len(arms))
    figure, axes = style.new_figure(3, columns, height=6.9, height_ratios=[1, 1, 1.15])
    panels = [*axes[0, :3], *axes[1, :2]]
    for letter, panel, (metric, (text, label, kind)) in zip("abcde", panels, _PANELS.items(), strict=True):
        rows = features[(features["metric"] == metric) & (features["kind"] == "all")]
        _by_layer(panel, rows[rows["split"] == _SPLIT], arms, kind)
        _control(panel, rows[rows["split"] == _CONTROL], arms, kind)
        style.title(panel, letter, text)
        panel.set(xlabel="layer", ylabel=label)
    panels[-1].set_yscale("log")
    for panel in panels[:2]:
        panel.set_ylim(0, None)
    for panel in panels[2:-1]:
        panel.set_ylim(-0.03, 1.03)
    _scatters(axes[2], points[points["seed"] == points["seed"].min()], arms)
    for panel in [*axes[0, 3:], *axes[1, 2:], *axes[2, len(arms) :]]:
        panel.set_axis_off()
    stages = [
        style.line_handle(f"after Task 0 to {WORDS[EARLY]} (d, e: at {EARLY_STEP})"),
        style.line_handle("after Task 0 to the end (d, e: at the end)", linestyle="--"),
    ]
    marks = [
        style.line_handle(_REFERENCE.label, _REFERENCE.color, marker=_REFERENCE.marker, linewidth=1.0),
        style.line_handle("control persons at the end (d, e)", style.CONTROL_LABEL, **_CONTROL_LINE),
        style.line_handle("chance", **_CHANCE),
    ]
    style.legend(figure, [*style.arm_handles(arms, linewidth=1.3), *stages, *marks], columns=3)
    axes[2, -1].legend(handles=_point_handles(), loc="center left") if len(arms) < columns else axes[2, 0].legend(handles=_point_handles())
    style.note(
        figure,
        features,
        "Layer 0: embedding. c has no interval with one seed. d, e: first token of the right value among those of its attribute; chance of d: always the most frequent one. "
        "Panels f: first seed, last layer, one question a person.",
    )
    return figure


def _by_layer(panel: Axes, rows: pd.DataFrame, arms: list[str], kind: Kind) -> None:
    """Lines over the layers; for the lens, `before` and `after` name the same checkpoint."""
    own = rows["before"] == rows["after"]
    reference = rows[(rows["arm"] == arms[0]) & (rows["after"] == "task0") & ((rows["before"] == "pretrained") | own)]
    style.draw_curve(panel, reference, "layer", _REFERENCE, kind=kind, markers=20, linewidth=1.0)
    for arm in arms:
        for after, line in _STAGES.items():
            chosen = rows[(rows["arm"] == arm) & (rows["after"] == after) & ((rows["before"] == "task0") | own)]
            style.draw_curve(panel, chosen, "layer", style.arm_look(arm), kind=kind, markers=20, **line)
    chance = over_seeds(reference.assign(value=reference["chance"], low=np.nan, high=np.nan), ["layer"], kind=kind)
    if chance["value"].notna().any():
        panel.plot(chance["layer"], chance["value"], **_CHANCE)
    panel.set_xticks(sorted(rows["layer"].unique())[:: max(1, rows["layer"].nunique() // 6)])


def _control(panel: Axes, rows: pd.DataFrame, arms: list[str], kind: Kind) -> None:
    """What is read off the states of control persons, about whom nothing can be known; one thin line an arm."""
    for arm in arms:
        chosen = rows[(rows["arm"] == arm) & (rows["after"] == TASK1_END) & (rows["before"] == rows["after"])]
        style.draw_curve(panel, chosen, "layer", style.CONTROLS["control"], kind=kind, band=False, **_CONTROL_LINE)


def _scatters(row: np.ndarray, points: pd.DataFrame, arms: list[str]) -> None:
    last = points[points["layer"] == points["layer"].max()]
    for panel, arm in zip(row, arms, strict=False):
        if panel is not row[0]:
            panel.sharex(row[0])
            panel.sharey(row[0])
            panel.tick_params(labelleft=False)
        look, cloud = style.arm_look(arm), last[last["arm"] == arm]
        for step, (_, marker, fill) in zip(sorted(cloud["step"].unique()), _POINTS, strict=True):
            here = cloud[cloud["step"] == step]
            color = style.MODAL_ANSWER if step == 0 else look.color
            panel.plot(
                here["leading_component"], here["mean_shift"], marker=marker, color=color, linestyle="none", markersize=3.2, alpha=0.75,
                markerfacecolor="white" if fill == "white" else color, markeredgewidth=0.7,
            )  # fmt: skip
        panel.set_xlabel("leading component")
        panel.set_title(look.label, loc="left")
    row[0].set_ylabel(f"along the shift of the mean\n(first {EARLY_STEP} steps)")
    row[0].set_title(f"f  {row[0].get_title(loc='left')}", loc="left")


_POINTS = (("after Task 0", "o", "full"), (WORDS[EARLY], "^", "white"), (WORDS[END], "s", "full"))


def _point_handles() -> list[Line2D]:
    colors = (style.MODAL_ANSWER, "#444444", "#444444")
    return [
        style.line_handle(f"{label} (f)", color, marker=marker, linestyle="none", markerfacecolor="white" if fill == "white" else color)
        for (label, marker, fill), color in zip(_POINTS, colors, strict=True)
    ]
