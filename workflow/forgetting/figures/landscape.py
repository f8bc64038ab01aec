"""Where does Task 1 go on the loss surface of both tasks?

**What it shows.** The loss on held-out Task 0 questions and on Task 1 questions, on a plane through weight
space, with the path that training took. Plain fine-tuning has both losses; of the other arms, one of replay
and one of freezing have that of Task 0 (a single other arm has both). Of several seeds the first is drawn.

**How to read it.** Three models span the plane: the end of Task 0 (circle, the origin), step 150 of Task 1
(triangle) and the end of Task 1 (square). The horizontal axis is the direction of the first 150 steps, the
vertical one what is left of the later way at a right angle to it. Both axes have the same scale, so lengths
and angles between the three models are true. Dark is a low loss; levels are evenly spaced in the logarithm
and the same in all panels; the small print says how sure a loss is beside the step from one level to the next.
Light grey: no loss was computed there, since the ways are of unequal length.
Small dots: the checkpoints, joined by straight lines, since nothing is known between them. The stars are the
models after one epoch of recovery, the lower one from the lowest point of the first 150 steps (not always the
triangle), the upper one from the end; an arm without recovered weights has none. Every model but the three is
drawn at its shadow on the plane, and the colour there is the loss of the shadow, not its own, which can be far
from it: for its own see the figures of accuracy and of interpolation. The next figure says how much of the path
lies in the plane. A star beside the model that it started from need be no short way: how far recovery goes, and
how much of that is a way back, is in the table *Is recovery a way back?*

**What to look for.** Whether the first 150 steps climb out of the valley of Task 0 while Task 1 hardly
improves, and the rest descends into that of Task 1; whether replay and freezing stay in the valley of Task 0.

**What would contradict the claim.** A triangle no higher on the surface of Task 0 than the circle, or one as
low on that of Task 1 as the square: then the first 150 steps are no stage of their own.
That the path leaves the horizontal at step 150 says nothing by itself: the plane is pinned to it there. Nor
does a sharper corner later on, where checkpoints lie far apart. Whether the path turns at 150 more than
elsewhere is asked in the next figure.
"""

from __future__ import annotations

from typing import Any

import matplotlib.patheffects as effects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from forgetting.data.points import EARLY_STEP, early_step
from forgetting.figures import style

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 1,
    "inputs": {
        "landscape": ["viewed"],
    },
    "options": {"axes": "views.landscape.axes", "questions": "views.landscape.questions"},
}

_LOSSES = {"task0_loss": "Task 0 loss", "task1_loss": "Task 1 loss"}
_RECOVERY: dict[str, Any] = {"recovery_trough": (0, (1.2, 1.2)), "recovery_end": "-"}
"""Kind of point: the line to it."""
_PATH = "#111111"
_NOT_COMPUTED = "#EDEDED"
_CHECKPOINT: dict[str, Any] = {
    "color": _PATH,
    "marker": "o",
    "markersize": 1.8,
    "markerfacecolor": "white",
    "markeredgewidth": 0.5,
    "linestyle": "none",
    "zorder": 4,
}
_STAR: dict[str, Any] = {"color": "#E6007E", "marker": "*", "markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": "none"}
_OUTLINE = [effects.withStroke(linewidth=2.6, foreground="white")]
_MARKS = (("o", "end of Task 0"), ("^", f"step {EARLY_STEP}"), ("s", "end of Task 1"))


def draw(landscape: pd.DataFrame, axes: str = "orthogonal", questions: int = 0) -> Figure:
    """Up to four panels with the same contour levels, see `panels_of`. Frame: LANDSCAPE.

    `axes` says what its coordinates are: orthogonal (L2 distances) or reference (multiples of the displacements). `questions`: how many
    of a task are asked at each point, if known.
    """
    seed = landscape["seed"].min()
    frame = landscape[(landscape["seed"] == seed) & (landscape["weights"] == "all")]
    shown = panels_of(frame["arm"])
    figure, panels = style.new_figure(1, len(shown), height=5.1, sharex=True, sharey=True)
    arms = [arm for arm, _ in shown]
    grid = frame[(frame["kind"] == "grid") & frame["arm"].isin(arms)]
    levels = loss_levels(grid[list(_LOSSES)].to_numpy())
    for letter, panel, (arm, loss) in zip("abcd", panels[0], shown, strict=False):
        run = frame[frame["arm"] == arm]
        contours = _contours(panel, run[run["kind"] == "grid"], loss, levels)
        _trajectory(panel, run[run["kind"] == "trajectory"].sort_values("step"))
        for kind, line in _RECOVERY.items():
            _recovery(panel, run[run["kind"] == kind].sort_values("epochs"), line)
        if axes == "orthogonal":
            panel.set_aspect("equal")
        style.title(panel, letter, f"{style.arm_look(arm).label},\n{_LOSSES[loss]}")
    unit = "L2 distance" if axes == "orthogonal" else "displacements"
    panels[0, 0].set_ylabel(f"β: after step {EARLY_STEP} ({unit})")
    for panel in panels[0]:
        panel.set_xlabel(f"α: first {EARLY_STEP} steps\n({unit})")
    place: dict[str, Any] = {"location": "bottom", "shrink": 0.7, "aspect": 40, "pad": 0.03}
    bar = figure.colorbar(contours, ax=panels, label="loss (nats an answer token)", **place)
    round_losses = [loss for loss in (0.001, 0.01, 0.1, 1, 10) if levels[0] <= loss <= levels[-1]]
    bar.set_ticks(np.log(round_losses).tolist(), labels=[f"{loss:g}" for loss in round_losses])
    handles = [style.line_handle(text, _PATH, marker=marker, linestyle="none") for marker, text in _MARKS]
    handles.append(style.line_handle("other checkpoints", **_CHECKPOINT | {"markersize": 2.5}))
    if set(_RECOVERY) & set(frame["kind"]):
        handles.append(style.line_handle("recovered, one epoch", markersize=5.5, **_STAR))
    style.legend(figure, handles, 3)
    style.small_print(
        figure,
        f"Seed {seed}. The plane pins the corner at step 150; stars lie off it. {_asked(questions)}{_errors(grid, levels)}",
    )
    return figure


def panels_of(arms: pd.Series) -> list[tuple[str, str]]:
    """(arm, loss) of each panel: both losses of the first main arm; of the others that of Task 0, or of a single other one both."""
    first, *others = style.main_arms(arms) or style.arm_order(arms)[:3]
    both = [(first, loss) for loss in _LOSSES]
    if len(others) == 1:
        return both + [(others[0], loss) for loss in _LOSSES]
    return both + [(arm, "task0_loss") for arm in others]


def loss_levels(losses: np.ndarray) -> np.ndarray:
    """Sixteen contour levels, evenly spaced in log(loss), from the lowest to the highest finite loss."""
    finite = losses[np.isfinite(losses)]
    low = max(float(finite.min()), 1e-3)
    return np.geomspace(low, max(float(finite.max()), 1.01 * low) * 1.001, 16)


def _asked(questions: int) -> str:
    return f"Losses: of {questions} questions a task. " if questions else ""


def _errors(grid: pd.DataFrame, levels: np.ndarray) -> str:
    """How sure a loss is, beside the distance of two levels: half of the points, and the worst."""
    told = []
    for task in ("task0", "task1"):
        share = (grid[f"{task}_error"] / grid[f"{task}_loss"]).where(grid[f"{task}_loss"] > 0)
        if share.notna().any():
            told.append(f"{_LOSSES[f'{task}_loss'].removesuffix(' loss')} {100 * share.median():.0f} % ({100 * share.max():.0f} %)")
    step = f"from one level to the next: {100 * (levels[1] / levels[0] - 1):.0f} %"
    return f"Standard error as a share of the loss, median (largest): {', '.join(told)}; {step}." if told else ""


def _contours(panel: Axes, grid: pd.DataFrame, loss: str, levels: np.ndarray) -> ContourSet:
    table = grid.pivot(index="beta", columns="alpha", values=loss)
    height = np.log(np.clip(table.to_numpy(dtype=float), levels[0], levels[-1]))
    steps = np.log(levels)
    filled = panel.contourf(table.columns, table.index, height, levels=steps, cmap="cividis")
    lines: dict[str, Any] = {"colors": "white", "linewidths": 0.4, "linestyles": "solid", "alpha": 0.6}
    panel.contour(table.columns, table.index, height, levels=steps, **lines)
    panel.grid(visible=False)
    panel.set_facecolor(_NOT_COMPUTED)
    return filled


def _trajectory(panel: Axes, path: pd.DataFrame) -> None:
    panel.plot(path["alpha"], path["beta"], color=_PATH, linewidth=1.0, path_effects=_OUTLINE)
    panel.plot(path["alpha"], path["beta"], **_CHECKPOINT)
    early = path[path["step"] == early_step(path["step"])].iloc[0]
    mark: dict[str, Any] = {
        "color": _PATH,
        "markeredgecolor": "white",
        "markersize": 6.5,
        "linestyle": "none",
        "clip_on": False,
        "zorder": 5,
    }
    for point, (marker, _) in zip((path.iloc[0], early, path.iloc[-1]), _MARKS, strict=True):
        panel.plot(point["alpha"], point["beta"], marker=marker, **mark)


def _recovery(panel: Axes, path: pd.DataFrame, line: Any) -> None:
    """Nothing for an arm without a recovery curve. The star is smaller than the mark of a model that it may lie upon."""
    panel.plot(path["alpha"], path["beta"], color=_STAR["color"], linewidth=1.2, linestyle=line, path_effects=_OUTLINE)
    last = path.tail(1)
    panel.plot(last["alpha"], last["beta"], markersize=5.5, zorder=6, **_STAR)
